package provider

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Messages sends messages to users in the provider's app. Its errors wrap
// ErrMessageRefused, ErrProviderMisconfigured or ErrProviderUnavailable. They contain
// neither the user's id nor credentials. It must be comparable.
type Messages interface {
	Send(ctx context.Context, m Message) error
}

// Message is a message about one login. Its JSON waits, encrypted, in Redis.
type Message struct {
	To       string            `json:"to"` // Identity.Subject
	Template string            `json:"template"`
	Fields   map[string]string `json:"fields"`         // texts with placeholders, by the template's field
	Values   map[string]string `json:"values"`         // of the placeholders, but the time
	Time     time.Time         `json:"time"`           // of the confirm
	Page     string            `json:"page,omitempty"` // that a tap opens, with its query
	Lang     string            `json:"lang,omitempty"` // BCP 47
}

// TimePlaceholder is the placeholder of the time of the confirm.
const TimePlaceholder = "{time}"

// MessagePlaceholders returns what the texts of a Message may contain. {site} is the client's
// name; {ip}, {place}, {browser} and {os} are those of the browser that asked.
func MessagePlaceholders() []string {
	return []string{"{site}", TimePlaceholder, "{ip}", "{place}", "{browser}", "{os}"}
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// CheckMessageText refuses a text that is empty, too long, or has unknown placeholders.
func CheckMessageText(text string) error {
	if text == "" || len(text) > 200 {
		return errors.New("a text of 1 to 200 bytes")
	}
	for _, found := range placeholder.FindAllString(text, -1) {
		if !slices.Contains(MessagePlaceholders(), found) {
			return fmt.Errorf("%s is none of the placeholders %s", found, strings.Join(MessagePlaceholders(), ", "))
		}
	}
	return nil
}

// Texts returns the fields with their placeholders replaced. timeText is the time as the
// provider shows it.
func (m Message) Texts(timeText string) map[string]string {
	pairs := []string{TimePlaceholder, timeText}
	for name, value := range m.Values {
		pairs = append(pairs, name, value)
	}
	replacer, texts := strings.NewReplacer(pairs...), make(map[string]string, len(m.Fields))
	for field, text := range m.Fields {
		texts[field] = replacer.Replace(text)
	}
	return texts
}
