package hub

import (
	"context"

	"loginhub/hub/ticket"
)

// Look reads a ticket. Like every reading it writes down a deadline that has
// passed, and changes nothing else.
func (h *Hub) Look(ctx context.Context, id ticket.ID) (ticket.Ticket, error) {
	t, _, err := h.look(ctx, id)
	return t, err
}

// Hopeless is the error that every user would get for a confirm by the waiting
// browser itself (Call.Bound); nil where one could succeed.
func Hopeless(t ticket.Ticket) error { return Call{Bound: true}.hopeless(t, ticket.Confirm) }

func (c Call) hopeless(t ticket.Ticket, a ticket.Action) error {
	t.Match = t.Match && !c.Bound
	return t.Hopeless(a, c.Match)
}
