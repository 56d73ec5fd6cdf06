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

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"loginhub/api/token"
	"loginhub/api/token/verify"
	"loginhub/hub/keys"
)

// fakeHub starts a server that publishes the keys of a hub, and returns a token signed
// with them.
func fakeHub(nonce string) (hub *httptest.Server, text string) {
	master := keys.NewMasterKey()
	signer, err := token.NewSigner([]keys.MasterKey{master})
	if err != nil {
		log.Fatal(err)
	}
	hub = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(signer.JWKS())
	}))
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"iss": hub.URL, "aud": "demo", "sub": "wechat:wx1:o-1", "iat": now, "exp": now + 300,
		"jti": "ticket-1", "nonce": nonce})
	if err != nil {
		log.Fatal(err)
	}
	if text, err = signer.Sign(master.ID(), claims); err != nil {
		log.Fatal(err)
	}
	return hub, text
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

// redisStore is a ReplayStore for any number of processes.
type redisStore struct{ *redis.Client }

// MarkUsed sends one SET: of all callers one gets OK, the others nil.
func (r redisStore) MarkUsed(ctx context.Context, id string, until time.Time) (bool, error) {
	err := r.SetArgs(ctx, "login:used:"+id, 1, redis.SetArgs{Mode: "NX", ExpireAt: until}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

func ExampleReplayStore() {
	nonce := "of this browser session"
	hub, token := fakeHub(nonce)
	defer hub.Close()
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()

	v := verify.New(hub.URL, "demo", verify.Options{})
	for range 2 {
		_, err := v.Verify(context.Background(), token, nonce, redisStore{client})
		fmt.Println(err)
	}
	fmt.Println(server.TTL("login:used:ticket-1") > 6*time.Minute) // five of the token, one of leeway, and a margin of one
	// Output:
	// <nil>
	// used before
	// true
}
