package frontend

import (
	"bytes"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// forbidden are patterns of what the pages' content security policy forbids.
var forbidden = map[string]*regexp.Regexp{
	"an inline script":   regexp.MustCompile(`<script(?:[^>]*)>\s*[^<\s]`),
	"an inline style":    regexp.MustCompile(`<style|\sstyle=`),
	"an inline handler":  regexp.MustCompile(`\son[a-z]+=`),
	"a third party":      regexp.MustCompile(`(?:src|href)="(?:https?:)?//`),
	"an unknown address": regexp.MustCompile(`(?:src|href)="(/[^"]*)"`),
}

// data is a block of JSON, which no browser executes.
var data = regexp.MustCompile(`<script type="application/json" id="messages">[^<]*</script>`)

func TestPages_ContentSecurityPolicy(t *testing.T) {
	pages, err := NewPages()
	if err != nil {
		t.Fatal(err)
	}
	const hostile = `"><script>alert(1)</script>`
	all := map[string]any{
		"index.html": Index{Sandbox: true, Client: hostile, Site: hostile, Label: hostile, LabelEn: hostile, PublicURL: "http://localhost:8080",
			Providers: []Provider{{Kind: hostile, Start: "/api/connect/x", LabelZH: hostile, LabelEN: hostile}}},
		"phone.html":    Consent{Ticket: hostile, Facts: Facts{Same: "undefined"}},
		"consent.html":  Consent{Ticket: hostile, Screen: "consent", CSRF: hostile, Choices: []string{hostile}, As: hostile, Facts: Facts{Client: hostile, Hosts: hostile, IP: hostile, Place: hostile, Same: "true", Browser: hostile, OS: hostile, Requested: hostile}},
		"landing.html":  Landing{Ticket: hostile, Apps: hostile, In: hostile, Opens: true, Links: []Link{{URL: "weixin://dl/business/?appid=wx1", Text: hostile}}},
		"logout.html":   Logout{Ask: true, Label: hostile, Fields: map[string]string{"state": hostile}},
		"weblogin.html": WebLoginResult{Confirmed: true},
		"continue.html": Form{Action: "https://site.test/cb", Fields: map[string]string{"code": hostile}},
		"error.html":    Failure{Status: 404, Code: "ticket_not_found", Title: hostile, Detail: hostile, RequestID: hostile},
		"device.html":   Device{Code: hostile, Wrong: true},
	}
	for name, d := range all {
		t.Run(name, func(t *testing.T) {
			var page bytes.Buffer
			if err := pages.Execute(&page, "zh-CN", name, d); err != nil {
				t.Fatal(err)
			}
			for what, pattern := range forbidden {
				for _, found := range pattern.FindAllStringSubmatch(data.ReplaceAllString(strings.Replace(page.String(), "<script>"+bootScript+"</script>", "", 1), ""), -1) {
					if what != "an unknown address" {
						t.Errorf("contains %s: %q", what, found[0])
					} else if _, hashed, _ := FindAsset(strings.TrimPrefix(found[1], "/assets/")); !hashed {
						t.Errorf("refers to %s", found[1])
					}
				}
			}
			if strings.Contains(page.String(), hostile) {
				t.Error("data is not escaped")
			}
		})
	}
}

func TestPages_SandboxOnly(t *testing.T) {
	pages, err := NewPages()
	if err != nil {
		t.Fatal(err)
	}
	for _, sandbox := range []bool{true, false} {
		var page bytes.Buffer
		if err := pages.Execute(&page, "en", "index.html", Index{Sandbox: sandbox}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(page.String(), `id="phone"`); got != sandbox {
			t.Errorf("sandbox %v: mentioned %v", sandbox, got)
		}
	}
}

// imports matches an import of a minified module.
var imports = regexp.MustCompile(`\bimport\s*[{*"'(]|from"`)

// TestAssets_Files checks that browsers can fetch the client's modules, the bundles, the pictures and the texts, and nothing else.
func TestAssets_Files(t *testing.T) {
	all, err := Assets()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"page/base.css", "page/boot.js", "page/consent.js", "page/continue.js", "page/dark.css", "page/device.css", "page/docs.css", "page/logo.svg", "page/open.js",
		"page/page.css", "page/page.js", "page/phone.css", "page/phone.js"}
	for _, pattern := range []string{"client/*.js", "client/widget/*.js", "messages/*.json"} {
		inTree, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, inTree...)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) {
		t.Errorf("public files are %q, want %q", got, want)
	}
	for name, asset := range all {
		if asset.Kind == "" {
			t.Errorf("%s has no media type", name)
		}
		if path.Ext(name) == ".js" && strings.HasPrefix(name, "page/") && imports.Match(bytes.ReplaceAll(asset.Body, []byte(`import("../client/widget/drawcode.js")`), nil)) {
			t.Errorf("%s imports another file", name)
		}
	}
}
