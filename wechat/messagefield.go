package wechat

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
)

var (
	// fieldName matches the name of a template's field: its type and a number.
	fieldName = regexp.MustCompile(`^([a-z_]+)[0-9]{1,3}$`)
	// templateField matches a field in a template's content.
	templateField = regexp.MustCompile(`\{\{([a-z_]+[0-9]{1,3})\.DATA\}\}`)
)

// fieldTypes are the types of fields of which a text can be made: which characters WeChat
// accepts, and how many.
//
// https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-message-management/subscribe-message/sendMessage.html
var fieldTypes = map[string]struct {
	accepts func(r rune) bool
	limit   int    // characters
	empty   string // for a text of which nothing is left: WeChat refuses an empty value
}{
	"thing":            {isPlain, 20, "-"},
	"character_string": {isASCII, 32, "-"},
	"phrase":           {isHan, 5, "未知"},
	"name":             {unicode.IsLetter, 10, "未知"},
	"letter":           {isASCIILetter, 32, "unknown"},
	"number":           {isDigit, 32, "0"},
}

// China's time, which WeChat shows too.
var chinaTime = time.FixedZone("UTC+8", 8*60*60)

// FieldTime returns a time for a field of the type time, date or thing.
func FieldTime(t time.Time) string { return t.In(chinaTime).Format("2006年1月2日 15:04") }

// FieldType returns the type of a template's field, such as thing. An error means that
// FieldText makes no value for it.
func FieldType(field string) (string, error) {
	if m := fieldName.FindStringSubmatch(field); m != nil {
		if _, ok := fieldTypes[m[1]]; ok || isTime(m[1]) {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("field %.40q: thing, character_string, phrase, name, letter, number, time or date and a number, as in the template", field)
}

func isTime(kind string) bool { return kind == "time" || kind == "date" }

// FieldText returns the part of a text that WeChat accepts for the field, which FieldType
// has checked. Without it WeChat refuses the whole message (47003). A time is unchanged.
func FieldText(field, text string) string {
	kind := strings.TrimRight(field, "0123456789")
	if isTime(kind) {
		return text
	}
	rule, spaces := fieldTypes[kind], kind == "thing" || kind == "character_string"
	kept := strings.Map(func(r rune) rune {
		switch {
		case spaces && unicode.IsSpace(r):
			return ' '
		case !rule.accepts(r):
			return -1
		}
		return r
	}, text)
	runes := []rune(strings.Join(strings.Fields(kept), " "))
	switch {
	case len(runes) == 0:
		return rule.empty
	case len(runes) > rule.limit && kind == "thing":
		return string(runes[:rule.limit-1]) + "…"
	}
	return string(runes[:min(len(runes), rule.limit)])
}

// isPlain refuses emoji, which have more than one UTF-16 unit.
func isPlain(r rune) bool       { return unicode.IsPrint(r) && (r <= 0xffff || isHan(r)) }
func isASCII(r rune) bool       { return r > ' ' && r <= '~' }
func isHan(r rune) bool         { return unicode.Is(unicode.Han, r) }
func isDigit(r rune) bool       { return r >= '0' && r <= '9' }
func isASCIILetter(r rune) bool { return isASCII(r) && unicode.IsLetter(r) }
