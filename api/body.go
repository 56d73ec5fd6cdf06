package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// maxBody bounds every request body.
const maxBody = 16 << 10

// bodyLimit is how long a request with a body may take in all. Without it a body
// that drips holds a connection for ever, also where nobody reads it; and it
// leaves the slowest provider its time.
const bodyLimit = 20 * time.Second

// byteOrderMark is what some platforms write before UTF-8. A parser may ignore it
// (RFC 8259, section 8.1).
var byteOrderMark = []byte("\ufeff")

// boundBody sets the time for a body. What takes longer is cut off.
func boundBody(c echo.Context) {
	if c.Request().ContentLength == 0 {
		return // a long poll has none, and may wait
	}
	// It fails where the connection is gone; then there is nothing to bound.
	_ = http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Now().Add(bodyLimit))
}

// readBody checks media type and size, in that order, before anything else is
// looked at. No body is an empty object.
func readBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	if r.ContentLength == 0 {
		return []byte("{}"), nil
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	isJSON := err == nil && mediaType == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
	if !isJSON && r.ContentLength > 0 {
		return nil, errMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	body = bytes.TrimPrefix(body, byteOrderMark)
	var large *http.MaxBytesError
	switch {
	case len(body) == 0 && err == nil:
		return []byte("{}"), nil // chunked, and nothing came
	case !isJSON:
		return nil, errMediaType
	case errors.As(err, &large):
		return nil, errTooLarge
	case err != nil:
		return nil, invalid("body: it ended early")
	}
	return body, nil
}

// parse reads a body into v. Unknown fields are ignored, wrong types refused.
func parse(body []byte, v any) error {
	if !utf8.Valid(body) {
		return invalid("body: not UTF-8")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return invalid("body: not a JSON object")
	}
	err := json.Unmarshal(body, v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return invalid(fmt.Sprintf("%s: %s is not what belongs here", wrong.Field, wrong.Value))
	}
	if err != nil {
		return invalid("body: not valid JSON")
	}
	return nil
}
