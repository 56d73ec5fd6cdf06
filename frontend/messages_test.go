package frontend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// catalogue reads the catalogue.
func catalogue(t *testing.T) *Catalogue {
	t.Helper()
	c, err := NewCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// flatten lists the texts of a value by their paths.
func flatten(value any, path string, into map[string]string) map[string]string {
	switch v := value.(type) {
	case string:
		into[path] = v
	case []any:
		for i, inner := range v {
			flatten(inner, fmt.Sprint(path, ".", i), into)
		}
	case Texts:
		return flatten(map[string]any(v), path, into)
	case map[string]any:
		for key, inner := range v {
			flatten(inner, strings.TrimPrefix(path+"."+key, "."), into)
		}
	}
	return into
}

func texts(c *Catalogue, tag string) map[string]string {
	all := map[string]string{}
	for name, section := range c.sections[tag] {
		flatten(section, name, all)
	}
	return all
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

// TestMessages_Complete: all languages have the same keys and placeholders. Right-to-left texts isolate what
// is filled in: its direction is its own (Unicode Standard Annex 9, section 2.4).
func TestMessages_Complete(t *testing.T) {
	c := catalogue(t)
	source := texts(c, fallback)
	for _, l := range c.Languages() {
		all := texts(c, l.Tag)
		for path, text := range source {
			got, ok := all[path]
			want, have := placeholder.FindAllString(text, -1), placeholder.FindAllString(got, -1)
			slices.Sort(want)
			slices.Sort(have)
			switch {
			case !ok || strings.TrimSpace(got) == "" && text != "":
				t.Errorf("%s lacks %s", l.Tag, path)
			case !slices.Equal(want, have):
				t.Errorf("%s: %s has the placeholders %v, not %v", l.Tag, path, have, want)
			case l.Dir == "rtl" && strings.Count(got, "\u2068{")+strings.Count(got, "}\u2069") != 2*len(have):
				t.Errorf("%s: %s does not isolate a placeholder", l.Tag, path)
			}
		}
		for path := range all {
			if _, ok := source[path]; !ok {
				t.Errorf("%s has %s, which is not in %s", l.Tag, path, fallback)
			}
		}
		if l.Name == "" || l.Dir != "ltr" && l.Dir != "rtl" {
			t.Errorf("%s: language %q, dir %q", l.Tag, l.Name, l.Dir)
		}
	}
}

// mixed is punctuation of another script than the language's.
var mixed = map[string]string{
	"zh-CN": `\p{Han}[,;:?!().]|[,;:?!()]\p{Han}|[「」]`,
	"zh-TW": `\p{Han}[,;:?!().]|[,;:?!()]\p{Han}|[“”]`,
	"ja":    `[\p{Han}\p{Hiragana}\p{Katakana}][,;:?!().]|[,;:?!()][\p{Han}\p{Hiragana}\p{Katakana}]|[，“”]`,
	"en":    `[，。；：？！（）、「」"']`,
	"ko":    `[，。；：？！（）、「」"']`,
	"ar":    `[,;?"'“”]`,
}

// TestMessages_Punctuation: no language has the punctuation of another.
func TestMessages_Punctuation(t *testing.T) {
	c := catalogue(t)
	for tag, pattern := range mixed {
		wrong := regexp.MustCompile(pattern + `|\.\.\.|  |\s$`)
		for path, text := range texts(c, tag) {
			// A quoted button of WeChat is Chinese in all languages.
			text = strings.ReplaceAll(text, "(使用完整服务)", "#")
			if found := wrong.FindString(text); found != "" && !strings.HasPrefix(path, "apps.") && !strings.HasSuffix(path, ".or") {
				t.Errorf("%s: %s has %q: %s", tag, path, found, text)
			}
		}
	}
}

// TestMessages_Used: each text is used, and no page uses one that is missing. A group is used as a whole: its
// keys are words of the hub.
func TestMessages_Used(t *testing.T) {
	c := catalogue(t)
	var sources strings.Builder
	for _, pattern := range []string{"page/*.html", "page/*.js", "client/widget/*.js", "*.go", "../api/*.go", "../api/consent/*.go"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			if name == "client/widget/messages.js" || strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(text)
		}
	}
	for section, texts := range c.sections[fallback] {
		for key := range texts {
			if !regexp.MustCompile(`["'.]`+key+`\b|\b`+key+`:`).MatchString(sources.String()) && section != "apps" && section != "failure" {
				t.Errorf("%s.%s is not used", section, key)
			}
		}
	}
	for _, use := range regexp.MustCompile(`\b(?:t|fill|Text\(lang|Fill\(lang), ? ?"(\w+)",? "(\w+)"`).FindAllStringSubmatch(sources.String(), -1) {
		if c.Text(fallback, use[1], use[2]) == nil {
			t.Errorf("%s.%s is used, and is missing", use[1], use[2])
		}
	}
	for _, use := range regexp.MustCompile(`\bmessages\.(\w+)`).FindAllStringSubmatch(sources.String(), -1) {
		if _, known := c.Merged(fallback, "login", "page", "widget", "phone")[use[1]]; !known && !slices.Contains([]string{"dir", "en", "js"}, use[1]) {
			t.Errorf("messages.%s is used, and is missing", use[1])
		}
	}
}

// protecting are the texts that protect the reader: a page without them is a risk, not a matter of style.
var protecting = map[string][]string{"page/index.html": {"safe"}, "page/phone.html": {"reject", "confirm"}, "page/parts.html": {"asks", "warning"}}

func TestMessages_Protecting(t *testing.T) {
	for name, keys := range protecting {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if !bytes.Contains(page, []byte(`"`+key+`"}}`)) {
				t.Errorf("%s does not show %s", name, key)
			}
		}
	}
}

// widgetHeader begins the widget's file of messages.
const widgetHeader = `// Generated from frontend/messages by "task messages". Change it there.

/**
 * @typedef {Record<'title' | 'alt' | 'making' | 'pending' | 'scanWith' | 'here' | 'hasScanned' | 'scanned' | 'loggedInAs' | 'confirmed' | 'consumed' | 'rejected' |
 *   'expired' | 'error' | 'claimed' | 'offline' | 'left' | 'retryIn' | 'match' | 'someone' | 'notMe' | 'refresh' | 'again' | 'retry' | 'requestId' |
 *   'dir', string> & Record<'rejectedBy' | 'open' | 'errors' | 'apps', Record<string, string>>} Messages
 */

/** The widget's texts, by language tag. ` + "`{name}`" + ` is a placeholder. @type {Record<string, Messages>} */
export const messages = {
`

// TestMessages_WidgetIsCurrent: the widget has the catalogue's texts. WRITE_MESSAGES=1 writes them.
func TestMessages_WidgetIsCurrent(t *testing.T) {
	const name = "client/widget/messages.js"
	c := catalogue(t)
	want := bytes.NewBufferString(widgetHeader)
	encoder := json.NewEncoder(want)
	encoder.SetEscapeHTML(false)
	for _, l := range c.Languages() {
		all := c.Merged(l.Tag, "login", "widget")
		all["dir"] = l.Dir
		fmt.Fprintf(want, "  '%s': ", l.Tag)
		if err := encoder.Encode(all); err != nil {
			t.Fatal(err)
		}
		want.Truncate(want.Len() - 1) // the encoder's line end
		want.WriteString(",\n")
	}
	want.WriteString("}\n")
	if os.Getenv("WRITE_MESSAGES") != "" {
		if err := os.WriteFile(name, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not current (%v): run task messages", name, err)
	}
}

func TestCatalogue_Choose(t *testing.T) {
	c := catalogue(t)
	for _, row := range []struct {
		want  string
		lists []string
	}{
		{"en", nil},
		{"en", []string{"", "zh;q=x;;", "de-DE"}},
		{"en", []string{"en", "zh-CN"}},
		{"zh-TW", []string{"zh-TW", "en"}},
		{"zh-TW", []string{"", "zh-Hant,en;q=0.5"}},
		{"zh-TW", []string{"zh-HK"}},
		{"zh-CN", []string{"zh-Hans-HK"}},
		{"zh-CN", []string{"zh"}},
		{"zh-CN", []string{"fr,zh-Hans-CN;q=0.8,en;q=0.5"}},
		{"ja", []string{"en;q=0.1,ja-JP"}},
		{"ko", []string{"xx,ko-KP;q=0.2"}},
		{"ar", []string{"ar-EG,en;q=0.9"}},
		{"en", []string{"__proto__", "toString"}},
	} {
		if got := c.Choose(row.lists...); got.Tag != row.want {
			t.Errorf("%q: %s, not %s", row.lists, got.Tag, row.want)
		}
	}
}
