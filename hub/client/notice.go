package client

// LoginNotice is the message that a provider's app shows to the user after a confirm, if
// they allow it.
type LoginNotice struct {
	TemplateID string
	Fields     map[string]string // texts with placeholders (provider.MessagePlaceholders), by the template's field
	Page       string            // that a tap opens, without a query
}

// Disputable reports whether a user can say, for a day, that a login was not theirs.
func (c *Client) Disputable() bool { return c.LoginNotice != nil || c.Events != nil }
