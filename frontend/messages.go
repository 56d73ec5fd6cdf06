package frontend

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

//go:embed messages/*.json
var messageFiles embed.FS

// tags are the BCP 47 tags of the pages' languages, in the order in which pages offer them. English
// is the language of readers whose language is none of these.
var tags = [...]string{"zh-CN", "zh-TW", "en", "ja", "ko", "ar"}

const fallback = "en"

// Language is one of the pages' languages.
type Language struct {
	Tag  string // BCP 47
	Name string // in itself
	Dir  string // ltr or rtl
}

// Texts are the texts of a section of the catalogue: strings, pairs of a title and a hint, or strings by key.
type Texts map[string]any

// Catalogue has the texts of all pages in all languages. It is read from messages/TAG.json.
type Catalogue struct {
	languages []Language
	sections  map[string]map[string]Texts // by tag and section
	matcher   language.Matcher
	matched   []string // tags in the matcher's order
}

// NewCatalogue reads the files of all languages.
func NewCatalogue() (*Catalogue, error) {
	c := &Catalogue{sections: map[string]map[string]Texts{}, matched: []string{fallback}}
	for _, tag := range tags {
		text, err := messageFiles.ReadFile("messages/" + tag + ".json")
		if err != nil {
			return nil, err
		}
		all := map[string]any{}
		if err := json.Unmarshal(text, &all); err != nil {
			return nil, fmt.Errorf("messages/%s.json: %w", tag, err)
		}
		removeNotes(all)
		l := Language{Tag: tag}
		l.Name, _ = all["language"].(string)
		l.Dir, _ = all["dir"].(string)
		c.languages = append(c.languages, l)
		c.sections[tag] = map[string]Texts{}
		for name, section := range all {
			if texts, ok := section.(map[string]any); ok {
				c.sections[tag][name] = texts
			}
		}
		if tag != fallback {
			c.matched = append(c.matched, tag)
		}
	}
	var supported []language.Tag
	for _, tag := range c.matched {
		supported = append(supported, language.Make(tag))
	}
	c.matcher = language.NewMatcher(supported)
	return c, nil
}

// removeNotes deletes the notes for translators.
func removeNotes(texts map[string]any) {
	for key, value := range texts {
		if strings.HasPrefix(key, "//") {
			delete(texts, key)
		} else if inner, ok := value.(map[string]any); ok {
			removeNotes(inner)
		}
	}
}

// Tags returns the BCP 47 tags of the pages' languages.
func Tags() []string { return tags[:] }

// Languages returns the languages in the order in which pages offer them.
func (c *Catalogue) Languages() []Language { return c.languages }

// Choose returns the language for a reader: by the first of the lists that has one of the catalogue's,
// otherwise English. A list is as in Accept-Language (RFC 9110, section 12.5.4).
func (c *Catalogue) Choose(lists ...string) Language {
	chosen := fallback
	for _, list := range lists {
		wanted := parseTags(list)
		if _, i, confidence := c.matcher.Match(wanted...); len(wanted) > 0 && confidence > language.Low {
			chosen = c.matched[i]
			break
		}
	}
	for _, l := range c.languages {
		if l.Tag == chosen {
			return l
		}
	}
	return Language{Tag: fallback}
}

// maxTags bounds the list of a browser.
const maxTags = 32

// parseTags returns the tags of a list, the preferred first. Unknown and invalid ones are left out.
func parseTags(list string) []language.Tag {
	items := strings.Split(list, ",")
	items = slices.DeleteFunc(items[:min(len(items), maxTags)], func(item string) bool {
		_, _, err := language.ParseAcceptLanguage(item)
		return err != nil
	})
	wanted, _, err := language.ParseAcceptLanguage(strings.Join(items, ","))
	if err != nil {
		return nil
	}
	return wanted
}

// Section returns a section in a language.
func (c *Catalogue) Section(tag, section string) Texts { return c.sections[tag][section] }

// Merged returns several sections as one, and the names of apps under the key apps.
func (c *Catalogue) Merged(tag string, sections ...string) Texts {
	all := Texts{"apps": c.Section(tag, "apps")}
	for _, section := range sections {
		for key, text := range c.Section(tag, section) {
			all[key] = text
		}
	}
	return all
}

// Text returns the text at a path of keys; nil if there is none.
func (c *Catalogue) Text(tag, section string, path ...string) any {
	var at any = map[string]any(c.Section(tag, section))
	for _, key := range path {
		inner, _ := at.(map[string]any)
		at = inner[key]
	}
	return at
}

// Fill returns a text with its placeholders replaced: pairs are names and values.
func (c *Catalogue) Fill(tag, section, key string, pairs ...string) string {
	text, _ := c.Text(tag, section, key).(string)
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Join joins names for people, with or before the last.
func (c *Catalogue) Join(tag string, names []string, or string) string {
	n := len(names) - 1
	if n <= 0 {
		return strings.Join(names, "")
	}
	comma, _ := c.Text(tag, "apps", "comma").(string)
	return strings.Join(names[:n], comma) + or + names[n]
}

// AppName returns what people call the app of a kind of provider; "" if the catalogue has no name for it.
// The kinds wechat_… are ways to log in with one app.
func (c *Catalogue) AppName(tag, kind string) string {
	if strings.HasPrefix(kind, "wechat_") {
		kind = "wechat"
	}
	name, _ := c.Text(tag, "apps", kind).(string)
	return name
}
