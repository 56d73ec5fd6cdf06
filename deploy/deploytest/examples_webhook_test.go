package deploytest_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// webhookKey is the secret of the tests' events, without whsec_ and decoded.
const webhookKey = "0123456789abcdef01234567"

// webhookCall is a call of a site's webhook.
type webhookCall struct {
	Header map[string]string
	Body   []byte
}

// signed returns the call of an event as the hub makes it at that time.
func (c webhookCall) signed(at time.Time) webhookCall {
	c.Header = map[string]string{"webhook-id": c.Header["webhook-id"], "webhook-timestamp": strconv.FormatInt(at.Unix(), 10)}
	mac := hmac.New(sha256.New, []byte(webhookKey))
	fmt.Fprintf(mac, "%s.%s.%s", c.Header["webhook-id"], c.Header["webhook-timestamp"], c.Body)
	c.Header["webhook-signature"] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return c
}

// sentEvent returns the call of a hub for a login of alice.
func sentEvent(t *testing.T) webhookCall {
	t.Helper()
	calls := make(chan webhookCall, 1)
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c := webhookCall{Header: map[string]string{}}
		for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			c.Header[name] = r.Header.Get(name)
		}
		c.Body, _ = io.ReadAll(r.Body)
		calls <- c
	}))
	t.Cleanup(site.Close)
	secret := hubtest.WriteFile(t, "secret", "whsec_"+base64.StdEncoding.EncodeToString([]byte(webhookKey)))
	hub := sandboxHub(t, "CLIENTS="+hubtest.WriteFile(t, "clients.yaml", fmt.Sprintf("clients: [{id: default, events: {url: %q, secret_file: %s}}]", site.URL, secret)))
	ctx := loginContext(t)
	tokenFor(ctx, t, hub, "alice", "")
	select {
	case c := <-calls:
		return c
	case <-ctx.Done():
		t.Fatal("no event")
		return webhookCall{}
	}
}

// webhookReceivers return for each call the type of the event, or "no": the example, and the
// snippets of api/PROTOCOL.md.
func webhookReceivers(t *testing.T) map[string]func([]webhookCall) []string {
	t.Helper()
	text, err := os.ReadFile("../../api/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(webhookKey))
	run := func(language, main string, command ...string) func([]webhookCall) []string {
		code := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(text)
		if code == nil {
			t.Fatal("api/PROTOCOL.md has no snippet in " + language)
		}
		return func(calls []webhookCall) []string {
			input, err := json.Marshal(calls)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(loginContext(t), command[0], append(command[1:], string(code[1])+main, secret)...)
			cmd.Stdin = bytes.NewReader(input)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %s %v", language, out, err)
			}
			return strings.Fields(string(out))
		}
	}
	return map[string]func([]webhookCall) []string{
		"node": nodeWebhook(t, secret),
		"python": run("python", `
import sys
for call in json.load(sys.stdin):
    try: print(verify_event(sys.argv[1], call["Header"], base64.b64decode(call["Body"]))["type"])
    except ValueError: print("no")`, "/usr/bin/python3", "-c"),
		"php": run("php", `
foreach (json_decode(stream_get_contents(STDIN), true) as $call) {
	try { echo verifyEvent($argv[1], $call['Header'], base64_decode($call['Body']))['type'], "\n"; } catch (RuntimeException) { echo "no\n"; }
}`, "php", "-r"),
	}
}

// nodeWebhook starts the example, which must handle the event of a test once.
func nodeWebhook(t *testing.T, secret string) func([]webhookCall) []string {
	t.Helper()
	port := hubtest.FreePort(t)
	var printed bytes.Buffer
	site := exec.Command("node", readExample(t, "node/webhook.mjs"))
	site.Env, site.Stdout = append(os.Environ(), "SECRET="+secret, "PORT="+port), &printed
	if err := site.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		site.Process.Kill()
		site.Wait()
		if printed.String() != "login.confirmed sandbox:alice \n" {
			t.Errorf("the example handles %q, want the event once", &printed)
		}
	})
	post := func(c webhookCall) (status int) {
		r, err := http.NewRequestWithContext(loginContext(t), "POST", "http://127.0.0.1:"+port+"/", bytes.NewReader(c.Body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range c.Header {
			r.Header.Set(name, value)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	hubtest.Eventually(t, 20*time.Second, "the webhook answers", func() bool { return post(webhookCall{}) == 401 })
	return func(calls []webhookCall) (all []string) {
		for _, c := range calls {
			all = append(all, map[int]string{204: "login.confirmed", 401: "no"}[post(c)])
		}
		return all
	}
}

// TestExamples_Webhook: the documented receivers take what a hub sends, also again and with two
// signatures, and nothing that was changed or is old.
func TestExamples_Webhook(t *testing.T) {
	t.Parallel()
	sent, now := sentEvent(t), time.Now()
	with := func(name, value string) webhookCall {
		c := webhookCall{maps.Clone(sent.Header), sent.Body}
		c.Header[name] = value
		return c
	}
	good, other := sent.Header["webhook-signature"], "v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32))
	calls := []webhookCall{
		sent, sent.signed(now.Add(5 * time.Second)), with("webhook-signature", other+" "+good), // accepted
		{sent.Header, bytes.Replace(sent.Body, []byte("alice"), []byte("mallo"), 1)},
		sent.signed(now.Add(-6 * time.Minute)), sent.signed(now.Add(6 * time.Minute)),
		with("webhook-id", "x"), with("webhook-timestamp", strconv.FormatInt(now.Unix()+9, 10)), with("webhook-timestamp", ""),
		with("webhook-signature", ""), with("webhook-signature", other), with("webhook-signature", good[3:]),
		with("webhook-signature", "v2"+good[2:]), with("webhook-signature", good+"="),
	}
	for name, receive := range webhookReceivers(t) {
		got := receive(calls)
		for i := range calls {
			if want := map[bool]string{true: "login.confirmed", false: "no"}[i < 3]; i >= len(got) || got[i] != want {
				t.Errorf("%s, call %d: %q, want %s", name, i, got, want)
				break
			}
		}
	}
}
