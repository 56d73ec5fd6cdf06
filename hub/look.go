package hub

import (
	"context"

	"loginhub/hub/ticket"
)

// Get reads a ticket. Like every reading it writes down a deadline that has
// passed, and changes nothing else.
func (h *Hub) Get(ctx context.Context, id ticket.ID) (ticket.Ticket, error) {
	t, _, err := h.read(ctx, id)
	return t, err
}

// CanConfirm is the error that every user would get for a confirm by the waiting
// browser itself (Call.Bound); nil where one could succeed.
func CanConfirm(t ticket.Ticket) error {
	return PhoneCall{SameBrowser: true}.precheck(t, ticket.Confirm)
}

func (c PhoneCall) precheck(t ticket.Ticket, a ticket.Action) error {
	t.NumberMatching = t.NumberMatching && !c.SameBrowser
	return t.Precheck(a, c.Match)
}
