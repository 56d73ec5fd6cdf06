package request

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// QueryInt reads a whole number from 0 to max from the query; absent is its
// value if it is missing.
func QueryInt(c echo.Context, name string, absent, max int64) (int64, error) {
	values, ok := c.QueryParams()[name]
	if !ok {
		return absent, nil
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || n < 0 || n > max || len(values) > 1 {
		return 0, Invalid(name + ": a whole number from 0 to " + strconv.FormatInt(max, 10))
	}
	return n, nil
}

// Language returns "zh" if the first language of Accept-Language is Chinese,
// otherwise "en".
func Language(r *http.Request) string {
	if strings.HasPrefix(FirstLanguage(r), "zh") {
		return "zh"
	}
	return "en"
}

// FirstLanguage returns the first tag of Accept-Language in lower case, as zh-cn; anything, since a phone sends it.
func FirstLanguage(r *http.Request) string {
	tag := r.Header.Get("Accept-Language")
	if end := strings.IndexAny(tag, ",;"); end >= 0 {
		tag = tag[:end]
	}
	return strings.ToLower(strings.TrimSpace(tag))
}
