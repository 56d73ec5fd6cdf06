package apitest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skip2/go-qrcode"

	"loginhub/api"
)

func qrTemplate(text string) func(*api.Config) { return func(c *api.Config) { c.Reloadable.QR = text } }

// modules returns the QR code of a text as drawn by the library, with its quiet zone of
// four modules.
func modules(t *testing.T, text string, level qrcode.RecoveryLevel) [][]bool {
	t.Helper()
	code, err := qrcode.New(text, level)
	must(t, err)
	return code.Bitmap()
}

var (
	box  = regexp.MustCompile(`viewBox="0 0 (\d+) (\d+)"`)
	runs = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)
	dark = regexp.MustCompile(`<path d="([^"]*)"/>`)
)

// readSVG returns the modules of an SVG that is drawn in runs.
func readSVG(t *testing.T, svg []byte) [][]bool {
	t.Helper()
	size := box.FindSubmatch(svg)
	path := dark.FindSubmatch(svg)
	if size == nil || path == nil || !bytes.Equal(size[1], size[2]) {
		t.Fatalf("not a drawing of runs: %.300s", svg)
	}
	n := number(t, size[1])
	rows := make([][]bool, n)
	for i := range rows {
		rows[i] = make([]bool, n)
	}
	rest := runs.ReplaceAllFunc(path[1], func(run []byte) []byte {
		m := runs.FindSubmatch(run)
		x, y, length := number(t, m[1]), number(t, m[2]), number(t, m[3])
		if length != number(t, m[4]) {
			t.Errorf("a run that does not close: %s", run)
		}
		for i := range length {
			rows[y][x+i] = true
		}
		return nil
	})
	if len(rest) > 0 {
		t.Errorf("more than runs: %.100s", rest)
	}
	return rows
}

func number(t *testing.T, text []byte) int {
	t.Helper()
	n, err := strconv.Atoi(string(text))
	must(t, err)
	return n
}

func TestQR_SVG(t *testing.T) {
	t.Parallel()
	// A code of a long text has no mark in its middle, and the level of one without.
	for template, level := range map[string]qrcode.RecoveryLevel{"": qrcode.High, "https://m.example.com/?" + strings.Repeat("x", 200) + "={ticket}": qrcode.Medium} {
		t.Run(template, func(t *testing.T) {
			s := start(t, options{api: qrTemplate(template)})
			p := s.createTicket(t, nil)
			a := s.ask(t, "GET", p.path("qr.svg"), nil)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != "image/svg+xml" {
				t.Fatalf("%d %q", a.status, a.header.Get("Content-Type"))
			}
			got, want := readSVG(t, a.body), modules(t, p.created["qr_url"].(string), level)
			if !slices.EqualFunc(got, want, slices.Equal[[]bool]) {
				t.Error("the QR code is another one")
			}
			if !bytes.Contains(a.body, []byte(`fill="#fff"`)) {
				t.Error("no white background: unreadable on a dark page")
			}
			for _, active := range []string{"<script", "onload", "href", "<style", "http:", "https:"} {
				if bytes.Contains(bytes.ReplaceAll(a.body, []byte("http://www.w3.org/2000/svg"), nil), []byte(active)) {
					t.Errorf("an image with %s in it", active)
				}
			}
			if p.created["qr_image"] != p.path("qr.svg") {
				t.Errorf("qr_image %v", p.created["qr_image"])
			}
		})
	}
}

// TestQR_ProviderText: the hub draws the text that a provider gives for a ticket, which it asks once.
func TestQR_ProviderText(t *testing.T) {
	t.Parallel()
	codes := &fakeCodes{text: "http://weixin.qq.com/q/02aBcDeFgHiJk"}
	s := start(t, options{api: func(c *api.Config) { c.Reloadable.Pictures = codes }})
	p := s.createTicket(t, nil)
	for range 2 {
		a := s.ask(t, "GET", p.path("qr.svg"), nil)
		if a.status != http.StatusOK || !slices.EqualFunc(readSVG(t, a.body), modules(t, codes.text, qrcode.High), slices.Equal[[]bool]) {
			t.Errorf("%d, or the QR code is another one", a.status)
		}
	}
	if p.created["qr_image"] != p.path("qr.png") || codes.calls.Load() != 1 {
		t.Errorf("qr_image %v, %d calls", p.created["qr_image"], codes.calls.Load())
	}
}

func TestQR_SizeBounds(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for _, size := range []string{"127", "1025", "0", "-256", "", "x", "256.0", "1e3", "99999999999999999999", "256&size=256"} {
		detail := s.ask(t, "GET", p.path("qr.png")+"?size="+size, nil).problem(t, 400, "invalid_request")
		if detail != "size: a whole number from 128 to 1024" {
			t.Errorf("size=%s: detail %q does not say what is allowed", size, detail)
		}
	}
	if a := s.ask(t, "GET", p.path("qr.svg")+"?size=7", nil); a.status != http.StatusOK {
		t.Errorf("the SVG has a size: %d", a.status)
	}
}

func TestQR_NoStoreAccess(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	id, _ := unknownTicket()
	gone := &browser{s: s, id: id}
	a := s.ask(t, "GET", gone.path("qr.svg"), nil, "Origin", evil)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := readSVG(t, a.body); !slices.EqualFunc(got, modules(t, public+"/s/"+id, qrcode.High), slices.Equal[[]bool]) {
		t.Error("the QR code is another one")
	}
	// Pages of other origins may display it, but not read it.
	if a.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
		t.Error("a site's page cannot display it")
	}
	noCORS(t, a)
	again := s.ask(t, "GET", gone.path("qr.svg"), nil)
	if !bytes.Equal(again.body, a.body) {
		t.Error("a repeated drawing differs")
	}
	head := s.ask(t, "HEAD", gone.path("qr.png"), nil)
	if head.status != http.StatusOK || fmt.Sprint(head.header["Content-Type"]) != "[image/png]" {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
}
