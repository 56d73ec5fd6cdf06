package deploytest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// program is the path of the tested binary. TestMain builds it once.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	path, remove, err := hubtest.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = path
	if err := flag.Set("test.parallel", "8"); err != nil { // these tests mostly wait, so more can run at once
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	remove()
	os.Exit(code)
}

// loginContext is a context for one login of a test.
func loginContext(t testing.TB) context.Context { return hubtest.Context(t, 20*time.Second) }

// login logs the user in: ticket, socket, scan and confirm on the given nodes. The last
// node is used for the rest.
func login(ctx context.Context, name string, urls ...string) error {
	at := func(i int) string { return urls[min(i, len(urls)-1)] }
	ticket, err := hubtest.CreateTicket(ctx, at(0), nil)
	if err != nil {
		return err
	}
	socket, err := ticket.Dial(ctx, at(1))
	if err != nil {
		return err
	}
	defer socket.Conn.CloseNow()
	phone := hubtest.NewPhone(name)
	if err := hubtest.CallOK(ctx, phone, at(2), ticket.ID, "scan"); err != nil {
		return err
	}
	if err := hubtest.CallOK(ctx, phone, at(3), ticket.ID, "confirm"); err != nil {
		return err
	}
	v, err := socket.Until(ctx, "confirmed")
	if err != nil {
		return err
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(v.Token+"..", ".")[1])
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	var claims struct{ Sub string }
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Sub != "sandbox:"+name {
		return fmt.Errorf("the token is for %q: %v", claims.Sub, err)
	}
	if err := socket.Ack(ctx, v.Seq); err != nil {
		return err
	}
	if code := socket.Closed(ctx); code != 1000 {
		return fmt.Errorf("closed with %d", code)
	}
	return nil
}

// findLine returns the first line about that of `loginhub check`, with its severity.
func findLine(printed, what string) string {
	return regexp.MustCompile(`(?m)^(ok  |warn|FAIL)  ` + regexp.QuoteMeta(what) + `.*$`).FindString(printed)
}
