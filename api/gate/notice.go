package gate

import (
	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// NoticeTemplate returns the template of the message for which the phone that scans with a
// provider asks its user's permission; "" if the client sends none, or the provider cannot.
func (cfg *Config) NoticeTemplate(site *client.Client, providerID string) string {
	if cfg.messages(site, providerID) == nil {
		return ""
	}
	return site.LoginNotice.TemplateID
}

// messages returns what sends the messages to a client's users; nil: none are sent.
func (cfg *Config) messages(site *client.Client, providerID string) provider.Messages {
	if p := cfg.MethodsOf(site.ID).Find(providerID); site.LoginNotice != nil && p != nil {
		return p.Messages
	}
	return nil
}
