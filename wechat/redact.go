package wechat

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

const redacted = "[redacted]"

// maxCause bounds the text of a cause in bytes: net/http quotes whole header lines.
const maxCause = 1024

// minHidden is the length from which a value is redacted. Real secrets and codes
// have 32 characters. A phone that sends "a" as its code must not make the log
// unreadable.
const minHidden = 8

// bare unwraps a url.Error, because its text quotes the URL.
func bare(err error) error {
	for wrap := (*url.Error)(nil); errors.As(err, &wrap); {
		err = wrap.Err
	}
	return err
}

// safe returns the cause of a failed exchange without secrets. Normally that is the
// cause without its url.Error. net/http also quotes the server, as in "malformed
// HTTP response", and a server can echo a URL. Then safe returns an error with the
// redacted text only.
func safe(err error, hidden []string) error {
	err = bare(err)
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
		for _, form := range []string{
			value, url.QueryEscape(value), url.PathEscape(value), quoted[1 : len(quoted)-1],
		} {
			text = strings.ReplaceAll(text, form, redacted)
		}
	}
	return text
}

// clean prepares text of others for an error: it redacts hidden values, removes
// control, bidirectional and invisible characters, and keeps at most 256 characters.
// It redacts again at the end, because removing characters may join the parts of a
// hidden value.
func clean(text string, hidden []string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		default:
			return -1
		}
	}, redact(text, hidden))
	text = redact(text, hidden)
	if runes := []rune(text); len(runes) > 256 {
		text = string(runes[:256])
	}
	return strings.TrimSpace(text)
}

// splitTrace separates an errmsg from the trace at its end, which is ", rid: X" (the
// /sns calls) or " rid: X" (the others). X is three groups of hexadecimal digits.
func splitTrace(errmsg string) (msg, rid string) {
	at := strings.LastIndex(errmsg, "rid:")
	if at < 0 {
		return errmsg, ""
	}
	rid = strings.TrimSpace(errmsg[at+len("rid:"):])
	if len(rid) > 64 || strings.Count(rid, "-") != 2 || strings.Trim(rid, "0123456789abcdefABCDEF-") != "" {
		return errmsg, ""
	}
	return strings.TrimRight(errmsg[:at], " ,"), rid
}
