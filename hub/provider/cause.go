package provider

import (
	"errors"
	"net/url"
	"strings"
)

// maxCause bounds the text of a cause, in bytes: net/http quotes whole lines of an answer.
const maxCause = 256

// CleanCause returns the error of a call of another server without the address, and without
// what that server wrote: both may be secret, because a server can echo a request.
func CleanCause(err error) error {
	for wrap := (*url.Error)(nil); errors.As(err, &wrap); {
		err = wrap.Err
	}
	text, _, quotes := strings.Cut(err.Error(), `"`)
	if !quotes && len(text) <= maxCause {
		return err
	}
	return errors.New(CleanText(text, maxCause))
}
