package frontend

import (
	"bytes"
	"io/fs"
	"os"
	"path"
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

func TestPages_ContentSecurityPolicy(t *testing.T) {
	templates, err := Templates()
	if err != nil {
		t.Fatal(err)
	}
	texts, err := PhoneTexts()
	if err != nil {
		t.Fatal(err)
	}
	const hostile = `"><script>alert(1)</script>`
	data := map[string]any{
		"index.html": Index{Sandbox: true, Client: hostile, Label: hostile, LabelEn: hostile, PublicURL: "http://localhost:8080",
			Providers: []Provider{{Kind: hostile, Start: "/api/connect/x", LabelZH: hostile, LabelEN: hostile}}},
		"phone.html":    Consent{Ticket: hostile, T: texts["zh"], Facts: Facts{Same: "undefined"}},
		"consent.html":  Consent{Ticket: hostile, T: texts["en"], Screen: "consent", CSRF: hostile, Choices: []string{hostile}, As: hostile, Facts: Facts{Client: hostile, Hosts: hostile, IP: hostile, Same: "true", Browser: hostile, OS: hostile, Requested: hostile}},
		"landing.html":  Landing{Ticket: hostile, WithZH: hostile, WithEN: hostile, InZH: hostile, InEN: hostile, Opens: true, Links: []Link{{URL: "weixin://dl/business/?appid=wx1", ZH: hostile, EN: hostile}}},
		"logout.html":   Logout{Ask: true, Label: hostile, LabelEN: hostile, Fields: map[string]string{"state": hostile}},
		"weblogin.html": WebLoginResult{Confirmed: true},
		"continue.html": Form{Action: "https://site.test/cb", Fields: map[string]string{"code": hostile}},
		"error.html":    Failure{Status: 404, Code: "ticket_not_found", Title: hostile, Detail: hostile},
		"device.html":   Device{Code: hostile, Wrong: true},
	}
	for name, d := range data {
		t.Run(name, func(t *testing.T) {
			var page bytes.Buffer
			if err := templates.ExecuteTemplate(&page, name, d); err != nil {
				t.Fatal(err)
			}
			for what, pattern := range forbidden {
				for _, found := range pattern.FindAllStringSubmatch(page.String(), -1) {
					if what != "an unknown address" {
						t.Errorf("contains %s: %q", what, found[0])
					} else if _, err := fs.Stat(FS(), strings.TrimPrefix(found[1], "/assets/")); err != nil {
						t.Errorf("refers to %s: %v", found[1], err)
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
	templates, err := Templates()
	if err != nil {
		t.Fatal(err)
	}
	for _, sandbox := range []bool{true, false} {
		var page bytes.Buffer
		if err := templates.ExecuteTemplate(&page, "index.html", Index{Sandbox: sandbox}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(page.String(), "sandbox"); got != sandbox {
			t.Errorf("sandbox %v: mentioned %v", sandbox, got)
		}
	}
}

// TestFS_Files checks that browsers can fetch all scripts, styles and images, and nothing else.
func TestFS_Files(t *testing.T) {
	kinds := []string{".js", ".css", ".svg"}
	for _, dir := range []string{"page", "client", "client/widget"} {
		inTree, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range inTree {
			if entry.IsDir() {
				continue
			}
			_, err := fs.Stat(FS(), dir+"/"+entry.Name())
			public := slices.Contains(kinds, path.Ext(entry.Name()))
			if public != (err == nil) {
				t.Errorf("%s/%s: public %v, embedded %v", dir, entry.Name(), public, err == nil)
			}
		}
	}
}
