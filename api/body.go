package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// maxBody bounds every request body.
const maxBody = 16 << 10

// readBody checks media type and size, in that order, before anything else is
// looked at. No body is an empty object.
func readBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	if r.ContentLength == 0 {
		return []byte("{}"), nil
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	isJSON := err == nil && kind == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
	if !isJSON && r.ContentLength > 0 {
		return nil, errMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
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
