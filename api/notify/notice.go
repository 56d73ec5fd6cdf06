package notify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/outbox"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Notice is a message that waits for its delivery by a provider.
type Notice struct {
	Client   string           `json:"client"`
	Provider string           `json:"provider"`
	Message  provider.Message `json:"message"`
}

// Notices makes the messages to users of clients with Client.LoginNotice. It is a Source.
type Notices struct {
	// Place returns the place of an address in a language (BCP 47); "" if it is not known.
	Place func(a netip.Addr, lang string) string
}

// Wants implements Source.
func (n *Notices) Wants(c *client.Client) bool { return c.LoginNotice != nil }

// Messages implements Source: one message after a confirm, if the user allows it.
func (n *Notices) Messages(c Call, next ticket.Ticket) ([]Queued, error) {
	if next.State != ticket.Confirmed || !c.Notice {
		return nil, nil
	}
	site, lang, unknown := c.Client.LoginNotice, cmp.Or(c.Lang, "zh-CN"), "未知"
	if !strings.HasPrefix(lang, "zh") {
		unknown = "unknown"
	}
	values := map[string]string{"{site}": c.Client.Label(lang), "{ip}": text(next.Address), "{place}": n.Place(next.Address, lang), "{browser}": next.Browser, "{os}": next.OS}
	for name, value := range values {
		if value == "" {
			values[name] = unknown
		}
	}
	m, err := NewMessage(string(next.ID)+"_notice", next, Notice{c.Client.ID, c.By.Provider, provider.Message{
		To: c.By.Subject, Template: site.TemplateID, Fields: site.Fields, Values: values, Time: time.UnixMicro(next.ConfirmedAt).UTC(),
		Page: site.Page + "?ticket=" + string(next.ID), Lang: lang}})
	return []Queued{{NoticeQueue(c.By.Provider), m}}, err
}

// NoticeQueue returns the name of the queue of a provider's messages.
func NoticeQueue(providerID string) string { return "notice:" + providerID }

// ReadNotice returns the notice that waited as m.
func ReadNotice(m outbox.Message) (n Notice, err error) {
	body, err := Body(m)
	if err == nil {
		err = json.Unmarshal(body, &n)
	}
	if err != nil {
		return n, fmt.Errorf("notice %s: %w", m.ID, err)
	}
	return n, nil
}
