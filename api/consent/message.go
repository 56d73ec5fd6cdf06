package consent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/labstack/echo/v4"

	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// invitation is what the token of a message's link refers to.
type invitation struct {
	By     provider.Identity `json:"by"`
	Client string            `json:"client"`
}

// Link returns the link under which the user who has scanned t decides; a provider has
// identified them by a notification (provider.Events). Its token is valid once; it is in
// the fragment, which browsers send to no server.
func (h *Handlers) Link(ctx context.Context, t ticket.Ticket) (string, error) {
	text, err := json.Marshal(invitation{By: t.Identity, Client: t.Client})
	if err != nil {
		return "", fmt.Errorf("encode invitation: %w", err)
	}
	token := rand.Text()
	if err := h.States.Save(ctx, invitationName(t.ID, token), text, proofLife); err != nil {
		return "", err
	}
	return h.gate.PublicURL + "/s/" + string(t.ID) + "#t=" + token, nil
}

// invitationName identifies an invitation without revealing its token.
func invitationName(id ticket.ID, token string) string {
	sum := sha256.Sum256([]byte(token))
	return "open:" + string(id) + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Open is POST /s/{ticket}/open: the landing page sends the token of its own fragment.
func (h *Handlers) Open(c echo.Context) error {
	form, err := request.ReadForm(c, "token")
	if err != nil {
		return err
	}
	id, err := request.TicketID(c)
	if err != nil {
		return err
	}
	if h.States == nil || !h.ownOrigin(c.Request()) {
		return visit.ErrStateForeign
	}
	text, err := h.States.Take(c.Request().Context(), invitationName(id, form.Get("token")))
	if err != nil {
		return err
	}
	var in invitation
	if text == nil || json.Unmarshal(text, &in) != nil {
		return visit.ErrStateInvalid
	}
	return h.admit(c, id, in.Client, in.By)
}
