//go:build go1.25

package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"loginhub/api/token/verify"
)

// fakeHub starts a server that publishes the keys of a hub, and returns a token signed
// with them.
func fakeHub(nonce string) (hub *httptest.Server, text string) {
	signer, err := newSigner()
	if err != nil {
		log.Fatal(err)
	}
	hub = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(signer.jwks())
	}))
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"iss": hub.URL, "aud": "demo", "sub": "wechat:wx1:o-1", "iat": now, "exp": now + 300,
		"jti": "ticket-1", "nonce": nonce})
	if err != nil {
		log.Fatal(err)
	}
	return hub, signer.sign(claims)
}

func Example() {
	nonce := "of this browser session"
	hub, token := fakeHub(nonce) // for https://login.example.com and the token from the page
	defer hub.Close()
	ctx := context.Background()

	v := verify.New(hub.URL, "demo", verify.Options{})
	var seen verify.MemoryStore
	claims, err := v.Verify(ctx, token, nonce, &seen)
	fmt.Println(claims.Subject, err)

	_, err = v.Verify(ctx, token, nonce, &seen)
	fmt.Println(errors.Is(err, verify.ErrReplayed), err)
	// Output:
	// wechat:wx1:o-1 <nil>
	// true used before
}
