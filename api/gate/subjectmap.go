package gate

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// ErrIdentityUnknown means that the site does not know the user whom the provider
// identified.
var ErrIdentityUnknown = errors.New("the site's subject map does not have this user")

// Limits of a call of a subject map.
const (
	subjectMapTimeout = 2 * time.Second
	subjectMapLife    = time.Minute // of the signature
	maxSubjectMapBody = 4 << 10
	maxMappedSubject  = 255 // bytes, as OpenID Connect Core 1.0 limits sub
)

// SubjectMapType is the typ of the JWT that signs a call of a subject map.
const SubjectMapType = "subject-map+jwt"

// subjectQuestion is the body of a call: who confirms, for which client.
type subjectQuestion struct {
	Client   string `json:"client"`
	Provider string `json:"provider"`
	Realm    string `json:"appid,omitempty"`
	Subject  string `json:"subject"`
	Union    string `json:"unionid,omitempty"`
}

// mapSubject asks the client's subject map who the user is at the site. A call that
// cannot change the ticket asks nothing.
func (g *Gate) mapSubject(ctx context.Context, cfg *Config, call *hub.Call, by provider.Identity, c *client.Client) error {
	if c.SubjectMap == "" || call.Action != ticket.Confirm {
		return nil
	}
	if changes, err := call.Confirms(by); err != nil || !changes {
		return err
	}
	start := time.Now()
	sub, err := g.askSubjectMap(ctx, cfg, call, by, c)
	trace.Provider(ctx, c.ID, "subject map", start, err != nil)
	if err != nil && !errors.Is(err, ErrIdentityUnknown) {
		return fmt.Errorf("subject map of client %s: %w: %w", c.ID, err, provider.ErrProviderUnavailable)
	}
	call.MapSubject(sub)
	return err
}

func (g *Gate) askSubjectMap(ctx context.Context, cfg *Config, call *hub.Call, by provider.Identity, c *client.Client) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, subjectMapTimeout)
	defer cancel()
	body, err := json.Marshal(subjectQuestion{c.ID, by.Provider, by.Realm, by.Subject, by.Union})
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	signature, err := g.signSubjectMap(cfg, call, body)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.SubjectMap, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("request: %w", provider.CleanCause(err))
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+signature)
	answer, err := subjectMaps.Do(r)
	if err != nil {
		return "", provider.CleanCause(err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return "", ErrIdentityUnknown
	default:
		return "", fmt.Errorf("status %d, want 200 or 404", answer.StatusCode)
	}
	var found struct {
		Sub string `json:"sub"`
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxSubjectMapBody+1))
	if err != nil {
		return "", fmt.Errorf("read: %w", provider.CleanCause(err))
	}
	if len(text) > maxSubjectMapBody || json.Unmarshal(text, &found) != nil {
		return "", fmt.Errorf(`the answer is not {"sub":"…"} of at most %d bytes`, maxSubjectMapBody)
	}
	if found.Sub == "" || len(found.Sub) > maxMappedSubject || !utf8.ValidString(found.Sub) || provider.CleanText(found.Sub, maxMappedSubject) != found.Sub {
		return "", fmt.Errorf("sub: 1 to %d bytes of visible text", maxMappedSubject)
	}
	return found.Sub, nil
}

// signSubjectMap returns a JWT that proves to the site that the hub asks: iss, aud (the
// client's id), iat, exp, jti and body_sha256, under the ticket's key.
func (g *Gate) signSubjectMap(cfg *Config, call *hub.Call, body []byte) (string, error) {
	t, now := call.Current(), call.Now()
	sum := sha256.Sum256(body)
	claims, err := json.Marshal(map[string]any{
		"iss": g.Hub.Issuer(), "aud": t.Client, "iat": now.Unix(), "exp": now.Add(subjectMapLife).Unix(),
		"jti": rand.Text(), "body_sha256": base64.RawURLEncoding.EncodeToString(sum[:])})
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	return cfg.Signer.Sign(t.Key, SubjectMapType, client.AlgEdDSA, claims)
}

// subjectMaps follows no redirects and uses no proxy: the operator's file names the
// address.
var subjectMaps = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute},
}
