package wechat

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

const redacted = "[redacted]"

// maxCause bounds the text of a cause: net/http quotes whole header lines.
const maxCause = 1024

// minHidden: shorter values are no real secrets or codes (those have 32
// characters), and a phone that sends "a" as its code must not be able to turn
// the operator's logs into riddles.
const minHidden = 8

// bare takes away the url.Error around a cause, because it quotes the URL.
func bare(err error) error {
	for wrap := (*url.Error)(nil); errors.As(err, &wrap); {
		err = wrap.Err
	}
	return err
}

// safe gives the cause of a failed exchange as it may be kept. Normally that is
// the cause itself without a url.Error. But net/http also quotes the server, as
// in "malformed HTTP response", and a server can echo a URL: then only the
// text is kept, cloaked, and the chain is given up.
func safe(err error, hidden []string) error {
	err = bare(err)
	for link := err; link != nil; link = errors.Unwrap(link) {
		if text := link.Error(); len(text) > maxCause || redact(text, hidden) != text {
			return errors.New(clean(err.Error(), hidden))
		}
	}
	return err
}

// redact replaces the hidden values in text, also where they are URL-encoded or
// quoted.
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

// clean makes text of others fit for an error: hidden values cloaked, no control,
// bidirectional or invisible characters, at most 256 characters. It cloaks once
// more at the end, because a value may come together when what was strewn into
// it is gone.
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

// splitTrace parts an errmsg from its trace, which stands at the end as
// ", rid: X" (the /sns calls) or " rid: X" (the others), X being three groups of
// hexadecimal digits.
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
