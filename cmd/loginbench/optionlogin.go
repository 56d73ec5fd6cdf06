package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// optionLogin is a login with one option.
type optionLogin struct {
	client  string
	pageKey *ecdsa.PrivateKey // the page's; nil: the token is not encrypted
	// delivered gets an element for each login's event; nil: there are none.
	delivered <-chan struct{}
}

// withOption returns what runs such a login.
func (s *cluster) withOption(o optionLogin) func(context.Context, int) (time.Duration, error) {
	return func(ctx context.Context, i int) (time.Duration, error) {
		l, at := s.newLogin(i)
		err := l.runWith(ctx, at, o)
		return l.pushed.Sub(l.sent), err
	}
}

func (l *login) runWith(ctx context.Context, at *target, o optionLogin) (err error) {
	ask := struct {
		Client string           `json:"client_id"`
		Key    *jose.JSONWebKey `json:"jwk,omitempty"`
	}{Client: o.client}
	if o.pageKey != nil {
		ask.Key = &jose.JSONWebKey{Key: o.pageKey.Public()}
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	if l.page, err = newPage(ctx, at, "", string(body)); err != nil {
		return err
	}
	if l.page.FrameKey != "" { // a living code
		if l.extra, err = firstFrame(l.page.FrameKey); err != nil {
			return err
		}
	}
	if err := l.scan(ctx); err != nil {
		return err
	}
	if l.page.MatchCode != "" {
		l.extra = `,"match":"` + l.page.MatchCode + `"`
	}
	if err = l.confirm(ctx); err == nil && o.pageKey != nil {
		err = decrypt(l.got.Token, o.pageKey)
	}
	if err == nil && l.got.Code != "" {
		err = l.exchangeCode(ctx, o.client)
	}
	if err != nil {
		l.page.drop()
		return err
	}
	if err := l.finish(); err != nil || o.delivered == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	select {
	case <-o.delivered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no event of the login: %w", ctx.Err())
	}
}

// firstFrame returns the member of a phone's call with the first frame of a living code.
func firstFrame(key string) (member string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return "", fmt.Errorf("frame_key: %w", err)
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte("0"))
	return `,"frame":"0.` + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:8]) + `"`, nil
}

// decrypt decrypts a token for the page's key.
func decrypt(token string, key *ecdsa.PrivateKey) error {
	sealed, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{jose.A256GCM})
	if err == nil {
		_, err = sealed.Decrypt(key)
	}
	return err
}

// exchangeCode exchanges the page's code for the token, as the site's back end does.
func (l *login) exchangeCode(ctx context.Context, client string) error {
	header := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(client+":"+optionSecret)) + "\r\n"
	status, answer, _, err := l.phone.call(ctx, "/api/login/exchange", header, `{"code":"`+l.got.Code+`"}`)
	if err == nil && status != 200 {
		err = fmt.Errorf("exchange: %d %.200s", status, answer)
	}
	return err
}

// dpopProof returns the header of a request to url with a proof by a new key (RFC 9449).
func dpopProof(url string) (header string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"jti": rand.Text(), "htm": "POST", "htu": url, "iat": time.Now().Unix()})
	if err != nil {
		return "", err
	}
	proof, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	text, err := proof.CompactSerialize()
	return "DPoP: " + text + "\r\n", err
}

var errNoDelivery = errors.New("confirmed without a token, a code or a redirect")
