package consent

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/hub"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// invitation is what the token of a message's link stands for.
type invitation struct {
	By     provider.Identity `json:"by"`
	Client string            `json:"client"`
}

// Link scans a ticket for a user whom the provider p has reported (provider.Events), and
// returns the link under which that user decides. Its token is valid once; it is in the
// fragment, which browsers send to no server.
func (h *Handlers) Link(c echo.Context, p *provider.Provider, id ticket.ID, by provider.Identity) (string, error) {
	call, err := h.gate.RunCall(c, &gate.Admission{PhoneCall: hub.PhoneCall{Action: ticket.Scan, Ticket: id},
		Provider: p.ID, By: by, Reported: true})
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(invitation{By: call.Current().Identity, Client: call.Current().Client})
	if err != nil {
		return "", fmt.Errorf("encode invitation: %w", err)
	}
	token := rand.Text()
	if err := h.States.Save(c.Request().Context(), invitationName(id, token), text, proofLife); err != nil {
		return "", err
	}
	return h.gate.PublicURL + "/s/" + string(id) + "#t=" + token, nil
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
