package api

import (
	"context"
	"fmt"
	"time"

	"loginhub/hub/ticket"
)

// phoneAdmission is what a phone's call meets beside the rules of the ticket: the
// operator's switch, the limits, and the comparison of addresses.
type phoneAdmission struct {
	server       *Server
	cfg          *activeConfig
	from         clientAddr
	action       ticket.Action
	hasMatchCode bool // it names a number
	attempt      *userAttempt
}

// check is asked before the provider is, of a ticket whose client is known. A reject ends a login and is never
// switched off, nor does it matter where it comes from.
func (v *phoneAdmission) check(t ticket.Ticket) error {
	s := v.server
	if v.action != ticket.Reject {
		if err := s.Hub.CheckEnabled(t.Client); err != nil {
			return err
		}
	}
	if err := s.limits.phones.allow(v.from.rateKey, time.Now()); err != nil {
		return err
	}
	if client := v.cfg.clients[t.Client]; v.action != ticket.Reject && client.AddressMismatch == ticket.MismatchRefuse {
		return s.requireSameAddress(t, client, v.from)
	}
	return nil
}

// requireSameAddress refuses a phone that is known to be elsewhere than the browser, and one whose
// address is hidden. Families that differ, and addresses of private networks, tell
// nothing.
func (s *Server) requireSameAddress(t ticket.Ticket, client *ticket.Client, phone clientAddr) error {
	if err := s.requireKnownAddress(client, phone); err != nil {
		return err
	}
	if same := sameAddress(t.Address, phone.display); same != nil && !*same {
		return ticket.ErrAddressMismatch
	}
	return nil
}

// requireKnownAddress refuses a browser or phone whose address is hidden, if the client
// wants phones to be near: the comparison must not be avoided by a header, nor end
// in silence because a proxy sends none.
func (s *Server) requireKnownAddress(client *ticket.Client, from clientAddr) error {
	if client.AddressMismatch != ticket.MismatchRefuse || !from.unverified {
		return nil
	}
	s.proxies.warnHiddenOnce.Do(func() {
		s.Log.Warn("address_mismatch: refuse has refused a call because the caller's address is not known: "+
			"an untrusted peer sent a forwarding header (if it is your proxy, name it in LOGINHUB_TRUSTED_PROXIES), "+
			"or a proxy of LOGINHUB_TRUSTED_PROXIES sent no usable X-Forwarded-For (have it set the header); until then no login of this client succeeds",
			"client", client.ID)
	})
	return fmt.Errorf("the address is hidden: %w", ticket.ErrAddressMismatch)
}

// exchange asks the provider for the user, and counts the user's call.
func (v *phoneAdmission) exchange(ctx context.Context, p Provider, proof Credential) (ticket.Identity, error) {
	ask := func(ctx context.Context, p Provider, proof Credential) (ticket.Identity, error) {
		return v.server.exchange(ctx, v.cfg, p, proof)
	}
	return v.countUser(v.server.codeGuard.exchange(ctx, v.from.rateKey, p, proof, ask))
}

// countUser counts the call of a user whom the provider has named.
func (v *phoneAdmission) countUser(by ticket.Identity, err error) (ticket.Identity, error) {
	if err != nil {
		return by, err
	}
	v.attempt = &userAttempt{limits: v.server.limits}
	return by, v.attempt.begin(by, v.hasMatchCode && v.action == ticket.Confirm)
}

// onResult settles the limits and gives the outcome's word.
func (v *phoneAdmission) onResult(_ ticket.Identity, err error) string {
	status, code := outcome(err)
	if v.attempt != nil {
		v.attempt.end(status, code)
	}
	return code
}

// requireEnabled admits what admit admits, while the client's login is switched on. An
// ack does not pass here: what is confirmed may be put away.
func (s *Server) requireEnabled(admit func(ticket.Ticket) error) func(ticket.Ticket) error {
	return func(t ticket.Ticket) error {
		if err := admit(t); err != nil {
			return err
		}
		return s.Hub.CheckEnabled(t.Client)
	}
}
