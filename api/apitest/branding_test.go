package apitest_test

import (
	"bytes"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"

	"loginhub/frontend"
	"loginhub/hub/client"
)

// branded returns a client with a look of its own.
func branded(t *testing.T) *client.Client {
	var file bytes.Buffer
	must(t, png.Encode(&file, image.NewGray(image.Rect(0, 0, 300, 300))))
	logo, err := client.NewLogo(file.Bytes())
	must(t, err)
	light, dark, err := client.NewAccents("#8b0000", "")
	must(t, err)
	site := demo()
	site.Branding = &client.Branding{Logo: logo, Light: light, Dark: dark, Theme: client.ThemeDark,
		Texts: map[string]map[string]string{"en": {"eyebrow": "Welcome to <b>"}, "ja": {"eyebrow": "ようこそ"}}}
	return site
}

// TestBranding: page, assets and ticket show the client's look; another client's do not.
func TestBranding(t *testing.T) {
	t.Parallel()
	site, other := branded(t), demo()
	other.ID = "other"
	s := start(t, options{clients: []*client.Client{site, other}})
	logo, sheet := "/assets/"+site.Branding.LogoPath(), "/assets/"+site.Branding.SheetPath()
	page := string(s.ask(t, "GET", "/", nil).body)
	for _, text := range []string{`<img src="` + logo + `"`, `href="` + sheet + `"`, `content="dark"`, `media="all"`, "Welcome to &lt;b&gt;</p>", `"ja":{"eyebrow":"ようこそ"}`, "Only scan a code"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page has no %s", text)
		}
	}
	if a := s.ask(t, "GET", "/?client_id=other", nil); bytes.Contains(a.body, []byte("/assets/brand/")) || !bytes.Contains(a.body, []byte(`content="light dark"`)) {
		t.Errorf("another client's page: %.600s", a.body)
	}
	for path, kind := range map[string]string{logo: "image/png", sheet: "text/css; charset=utf-8"} {
		a := s.ask(t, "GET", path, nil)
		if a.status != 200 || a.header.Get("Content-Type") != kind || !strings.Contains(a.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	s.ask(t, "GET", "/assets/brand/00000000000000000000000000000000.png", nil).problem(t, 404, "not_found")
	look, _ := s.createTicket(t, map[string]string{"client_id": "demo"}).created["branding"].(map[string]any)
	if look["logo"] != logo || look["accent"] != "#8b0000" || look["on_accent"] != "#ffffff" || look["theme"] != "dark" || look["accent_dark"] == nil {
		t.Errorf("the ticket's branding: %v", look)
	}
	if p := s.createTicket(t, map[string]string{"client_id": "other"}); p.created["branding"] != nil {
		t.Errorf("another client's: %v", p.created["branding"])
	}
}

// TestBranding_Texts: what a client may replace is in the catalogue, and protects no one.
func TestBranding_Texts(t *testing.T) {
	t.Parallel()
	c, err := frontend.NewCatalogue()
	must(t, err)
	if got := client.BrandingLanguages(); !slices.Equal(got, frontend.Tags()) {
		t.Errorf("languages %v, the pages have %v", got, frontend.Tags())
	}
	known := c.Merged("en", "login", "page", "widget")
	for _, key := range client.BrandingTexts() {
		if _, ok := known[key].(string); !ok || slices.Contains([]string{"safe", "step2", "check", "claimed", "match", "notMe"}, key) {
			t.Errorf("%s cannot be replaced", key)
		}
	}
}
