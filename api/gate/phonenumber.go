package gate

import (
	"context"

	"loginhub/api/ratelimit"
	"loginhub/api/request"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// PhoneNumberOf returns whether the phone that scans with a provider asks its user for the
// phone number: the client's setting, or "" if the provider gives none.
func (cfg *Config) PhoneNumberOf(client *client.Client, providerID string) string {
	if cfg.phoneNumbers(client, providerID) == nil {
		return ""
	}
	return client.PhoneNumber
}

// phoneNumbers returns what gives the phone numbers of a client's users; nil: none.
func (cfg *Config) phoneNumbers(client *client.Client, providerID string) provider.PhoneNumbers {
	if p := cfg.MethodsOf(client.ID).Find(providerID); client.PhoneNumber != "" && p != nil {
		return p.Phone
	}
	return nil
}

// checkPhoneCode refuses a confirm without the code that the client requires. A repeated
// confirm needs none.
func (a *Admission) checkPhoneCode(t ticket.Ticket, c *client.Client) error {
	if a.Action == ticket.Confirm && c.PhoneNumber == client.PhoneRequire && a.PhoneCode == "" && !t.WasConfirmed() {
		return request.Invalid("phone_code: required, the client asks for the phone number")
	}
	return nil
}

// addPhoneNumber exchanges the code for the phone number of the user whom the provider has
// identified, if the user is about to confirm.
func (a *Admission) addPhoneNumber(ctx context.Context, call *hub.Call, by provider.Identity, c *client.Client) error {
	phone := a.cfg.phoneNumbers(c, a.Provider)
	if a.Action != ticket.Confirm || a.PhoneCode == "" || phone == nil {
		return nil
	}
	if changes, err := call.Confirms(by); err != nil || !changes {
		return err
	}
	attempt := ratelimit.Attempt{From: a.from.RateKey, Provider: phone, Code: a.PhoneCode, Ticket: a.Ticket}
	_, err := a.gate.Limits.Codes.Exchange(ctx, attempt, func(ctx context.Context) (provider.Identity, error) {
		return by, a.gate.CallProvider(ctx, a.cfg, Callee{a.Provider, phone, "phone number"}, func(ctx context.Context) error {
			number, err := phone.PhoneNumber(ctx, a.PhoneCode)
			call.SetPhoneNumber(number)
			return err
		})
	})
	return err
}
