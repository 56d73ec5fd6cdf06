package main_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

func TestWxacode_OneCall(t *testing.T) {
	t.Parallel()
	w, settings := startWebsite(t, "QR=wxacode")
	_, nodes := cluster(t, 2, settings...)
	ctx := hubtest.Context(t, 20*time.Second)
	ticket, done := hubtest.MustCreateTicket(t, ctx, nodes[0].URL), hubtest.MustCreateTicket(t, ctx, nodes[0].URL)
	if ticket.QRImage != "/api/login/tickets/"+ticket.ID+"/qr.png" || ticket.QRURL != ourOrigin+"/s/"+ticket.ID {
		t.Errorf("qr_image %s, qr_url %s", ticket.QRImage, ticket.QRURL)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if width := pngAt(t, nodes[i%2].URL+ticket.QRImage).Bounds().Dx(); width != 43 {
				t.Errorf("not WeChat's picture: %d pixels", width)
			}
		})
	}
	all.Wait()
	svg, err := hubtest.Request(ctx, "GET", ticket.URL(nodes[0].URL, "qr.svg"), nil)
	if err != nil || !bytes.Contains(svg.Body, []byte("data:image/png;base64,")) {
		t.Errorf("svg: %.100s %v", svg.Body, err)
	}
	if n := len(w.Scenes()); n != 2 || w.CallsTo("/cgi-bin/stable_token") != 1 {
		t.Errorf("%d codes for two nodes, %d tokens", n, w.CallsTo("/cgi-bin/stable_token"))
	}
	// Unknown and closed tickets use no WeChat quota.
	mustCall(t, ctx, weChatPhone(w, "alice"), nodes[0].URL, done.ID, "confirm")
	for _, id := range []string{strings.Repeat("A", 22), done.ID} {
		got, err := hubtest.Request(ctx, "GET", nodes[0].URL+"/api/login/tickets/"+id+"/qr.svg", nil)
		if err != nil || got.Status != 200 || bytes.Contains(got.Body, []byte("base64")) || len(w.Scenes()) != 2 {
			t.Errorf("%s: %+v %v", id, got, err)
		}
	}
}

// pngAt fetches a picture.
func pngAt(t *testing.T, url string) image.Image {
	t.Helper()
	got, err := hubtest.Request(hubtest.Context(t, 20*time.Second), "GET", url, nil)
	if err != nil || got.Status != 200 {
		t.Errorf("%s: %+v %v", url, got, err)
		return image.NewGray(image.Rectangle{})
	}
	m, err := png.Decode(bytes.NewReader(got.Body))
	if err != nil {
		t.Error(err)
		return image.NewGray(image.Rectangle{})
	}
	return m
}

func TestWxacode_FallbackToLink(t *testing.T) {
	t.Parallel()
	w, settings := startWebsite(t, "QR=wxacode")
	node := hubtest.StartNode(t, program, settings...)
	ctx := hubtest.Context(t, 20*time.Second)
	w.FailAlways(wechattest.Fault{Errcode: 40164})
	for range 3 {
		if width := pngAt(t, node.URL+hubtest.MustCreateTicket(t, ctx, node.URL).QRImage+"?size=300").Bounds().Dx(); width != 300 {
			t.Errorf("no code of the link: %d pixels", width)
		}
	}
	if log := node.Stop(t); w.Calls() != 1 || strings.Count(log, "the link is shown instead") != 1 || !strings.Contains(log, "40164") {
		t.Errorf("%d calls; the log: %s", w.Calls(), log)
	}
}

func TestQR_Logo(t *testing.T) {
	t.Parallel()
	red := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		red.Set(i%64, i/64, color.RGBA{255, 0, 0, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, red); err != nil {
		t.Fatal(err)
	}
	node := hubtest.StartNode(t, program, "QR_LOGO="+hubtest.WriteFile(t, "logo.png", b.String()))
	ticket := hubtest.MustCreateTicket(t, hubtest.Context(t, 20*time.Second), node.URL)
	m := pngAt(t, ticket.URL(node.URL, "qr.png?size=500"))
	if r, g, _, _ := m.At(250, 250).RGBA(); m.Bounds().Dx() != 500 || r != 0xffff || g != 0 {
		t.Errorf("%d pixels, in the middle %v", m.Bounds().Dx(), m.At(250, 250))
	}
}
