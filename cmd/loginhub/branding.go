package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"loginhub/hub/client"
)

// brandingEntry is how a client's pages look; at the top of the file, those of all clients.
type brandingEntry struct {
	Logo       string                       `yaml:"logo"`
	Accent     string                       `yaml:"accent"`
	AccentDark string                       `yaml:"accent_dark"`
	Theme      string                       `yaml:"theme"`
	Texts      map[string]map[string]string `yaml:"texts"`
}

// maxBrandingText bounds a text, in characters.
const maxBrandingText = 120

// UnmarshalYAML refuses unknown fields.
func (b *brandingEntry) UnmarshalYAML(n *yaml.Node) error {
	type plain brandingEntry
	return decodeStrict(n, (*plain)(b), "logo", "accent", "accent_dark", "theme", "texts")
}

// over returns the entry with the other's values where it has none.
func (b *brandingEntry) over(common *brandingEntry) *brandingEntry {
	if b == nil || common == nil {
		if b == nil {
			return common
		}
		return b
	}
	merged := *common
	if b.Logo != "" {
		merged.Logo = b.Logo
	}
	if b.Accent != "" {
		merged.Accent, merged.AccentDark = b.Accent, b.AccentDark
	}
	if b.Theme != "" {
		merged.Theme = b.Theme
	}
	if b.Texts != nil {
		merged.Texts = b.Texts
	}
	return &merged
}

// branding checks the entry; nil is none.
func (b *brandingEntry) branding(read reader) (*client.Branding, error) {
	if b == nil {
		return nil, nil
	}
	out := &client.Branding{Texts: b.Texts}
	if b.Logo != "" {
		file, err := read(b.Logo)
		if err != nil {
			return nil, fmt.Errorf("logo: %w", err)
		}
		if out.Logo, err = client.NewLogo(file); err != nil {
			return nil, fmt.Errorf("logo %s: %w", b.Logo, err)
		}
	}
	var err error
	if b.Accent == "" && b.AccentDark != "" {
		return nil, fmt.Errorf("accent_dark %.20q needs accent, the colour of the light pages", b.AccentDark)
	}
	if b.Accent != "" {
		if out.Light, out.Dark, err = client.NewAccents(b.Accent, b.AccentDark); err != nil {
			return nil, err
		}
	}
	if out.Theme, err = oneOf("theme", b.Theme, "auto", client.ThemeLight, client.ThemeDark); err != nil {
		return nil, err
	}
	if out.Theme == "auto" {
		out.Theme = ""
	}
	return out, checkBrandingTexts(b.Texts)
}

// checkBrandingTexts checks the languages, keys and texts.
func checkBrandingTexts(all map[string]map[string]string) error {
	for tag, texts := range all {
		if !slices.Contains(client.BrandingLanguages(), tag) {
			return fmt.Errorf("texts: the pages have no language %.20q; they have %s", tag, strings.Join(client.BrandingLanguages(), ", "))
		}
		for key, text := range texts {
			if !slices.Contains(client.BrandingTexts(), key) {
				return fmt.Errorf("texts %s: %.40q cannot be changed; you can change %s", tag, key, strings.Join(client.BrandingTexts(), ", "))
			}
			if n := utf8.RuneCountInString(text); n == 0 || n > maxBrandingText || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.ContainsAny(text, "{}") {
				return fmt.Errorf("texts %s: %s: one line of 1 to %d characters, without braces", tag, key, maxBrandingText)
			}
		}
	}
	return nil
}
