package client

import "strings"

// LoginNotice is the message that a provider's app shows to the user after a confirm, if
// they allow it.
type LoginNotice struct {
	TemplateID string
	Fields     map[string]string // texts with Placeholders, by the template's field
	Page       string            // that a tap opens, without a query
}

// NoticePlaceholders returns what texts of a LoginNotice may contain, in braces. site is the
// client's label; ip, place, browser and os are those of the browser that asked.
func NoticePlaceholders() []string { return []string{"site", "time", "ip", "place", "browser", "os"} }

// Texts returns the fields with their placeholders replaced by the values.
func (n *LoginNotice) Texts(values map[string]string) map[string]string {
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", value)
	}
	replacer, texts := strings.NewReplacer(pairs...), map[string]string{}
	for field, text := range n.Fields {
		texts[field] = replacer.Replace(text)
	}
	return texts
}

// Disputable reports whether a user can say, for a day, that a login was not theirs.
func (c *Client) Disputable() bool { return c.LoginNotice != nil }
