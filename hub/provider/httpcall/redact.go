package httpcall

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

const (
	// maxCause bounds the text of a cause in bytes: net/http quotes whole header lines.
	maxCause = 1024
	// maxText bounds a provider's text in an error, in characters.
	maxText = 256
	// minHidden is the length from which a value is redacted. Real secrets and codes are
	// longer; a code "a" must not make the log unreadable.
	minHidden = 8
)

// safe returns the cause of a failed exchange without hidden values: net/http quotes
// what a server sends, and a server can echo a URL.
func safe(err error, hidden []string) error {
	for link := err; link != nil; link = errors.Unwrap(link) {
		if text := link.Error(); len(text) > maxCause || redact(text, hidden) != text {
			return errors.New(clean(err.Error(), hidden))
		}
	}
	return err
}

// redact replaces the hidden values in text, also in URL-encoded or quoted form.
func redact(text string, hidden []string) string {
	for _, value := range hidden {
		if len(value) < minHidden {
			continue
		}
		quoted := strconv.Quote(value)
		for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value), quoted[1 : len(quoted)-1]} {
			text = strings.ReplaceAll(text, form, "[redacted]")
		}
	}
	return text
}

// clean prepares text of others for an error: printable, short and without hidden
// values. It redacts again at the end, because removing characters may join the parts
// of a hidden value.
func clean(text string, hidden []string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, redact(text, hidden))
	text = redact(text, hidden)
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText])
	}
	return strings.TrimSpace(text)
}
