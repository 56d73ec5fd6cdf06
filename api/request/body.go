package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// maxBody bounds every request body, in bytes.
const maxBody = 16 << 10

// usualBody is the longest body whose memory is allocated before it arrives, in bytes.
const usualBody = 1 << 10

// bodyReadTimeout is how long a whole request body may take to arrive. Without
// it a body sent byte by byte keeps a connection open for ever, also if no
// handler reads it. It leaves enough time for the slowest provider.
const bodyReadTimeout = 20 * time.Second

// byteOrderMark is what some platforms write before UTF-8. A parser may ignore
// it (RFC 8259, section 8.1).
var byteOrderMark = []byte("\ufeff")

// BoundBody sets the read deadline of a request with a body.
func BoundBody(c echo.Context) {
	if c.Request().ContentLength == 0 {
		return // a long poll has none, and may wait
	}
	// An error means that the connection is closed; then no deadline is needed.
	_ = http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Now().Add(bodyReadTimeout))
}

// ReadBody checks media type and size, in that order, before anything else. It
// returns "{}" if there is no body.
func ReadBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	if r.ContentLength == 0 {
		return []byte("{}"), nil
	}
	isJSON := isJSON(r.Header.Get("Content-Type"))
	if !isJSON && r.ContentLength > 0 {
		return nil, ErrMediaType
	}
	body, err := readAll(c)
	body = bytes.TrimPrefix(body, byteOrderMark)
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case len(body) == 0 && err == nil:
		return []byte("{}"), nil // chunked and empty
	case !isJSON:
		return nil, ErrMediaType
	case large:
		return nil, ErrTooLarge
	case err != nil:
		return nil, Invalid("body: incomplete")
	}
	return body, nil
}

// readAll returns the body, or an *http.MaxBytesError.
func readAll(c echo.Context) ([]byte, error) {
	r := c.Request()
	if n := r.ContentLength; n > 0 && n <= usualBody {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
}

// isJSON reports whether a Content-Type is JSON in UTF-8.
func isJSON(contentType string) bool {
	if contentType == "application/json" { // by far the most frequent
		return true
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	return err == nil && mediaType == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// DecodeBody decodes a JSON object into v. It ignores unknown fields and refuses
// wrong types.
func DecodeBody(body []byte, v any) error {
	if !utf8.Valid(body) {
		return Invalid("body: not UTF-8")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return Invalid("body: not a JSON object")
	}
	err := json.Unmarshal(body, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return Invalid(fmt.Sprintf("%s: %s is the wrong type", wrong.Field, wrong.Value))
	}
	if err != nil {
		return Invalid("body: not valid JSON")
	}
	return nil
}

// ReadForm reads a body that is a form. Each field of once may be given once.
func ReadForm(c echo.Context, once ...string) (url.Values, error) {
	r := c.Request()
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, ErrForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, Invalid("body: incomplete")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, Invalid("body: not a form")
	}
	for _, name := range once {
		if len(form[name]) > 1 {
			return nil, Invalid(name + ": given twice")
		}
	}
	return form, nil
}
