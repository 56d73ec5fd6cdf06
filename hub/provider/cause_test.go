package provider_test

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"loginhub/hub/provider"
)

// TestCleanCause: a cause keeps what went wrong, without the address and the server's words.
func TestCleanCause(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]string{
		io.EOF: "EOF",
		fmt.Errorf("broken: %w", errors.New(`malformed HTTP response "/s3cret"`)): "broken: malformed HTTP response",
		errors.New("valid for " + strings.Repeat("a.example, ", 99)):              "valid for " + strings.Repeat("a.example, ", 22) + "a.ex",
	} {
		err := provider.CleanCause(fmt.Errorf("call: %w", &url.Error{Op: "Post", URL: "https://site.example/s3cret", Err: cause}))
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	if err := provider.CleanCause(&url.Error{Err: io.EOF}); !errors.Is(err, io.EOF) {
		t.Errorf("the cause is lost: %v", err)
	}
}
