package wechattest

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// sceneText matches a valid scene.
var sceneText = regexp.MustCompile(`^[0-9A-Za-z!#$&'()*+,/:;=?@._~-]+$`)

// wxacode is getwxacodeunlimit. It answers a picture, or JSON with an error.
func wxacode(s *Server, r *http.Request, f Fault) answer {
	var in struct {
		Scene     string `json:"scene"`
		Page      string `json:"page"`
		CheckPath *bool  `json:"check_path"`
		Env       string `json:"env_version"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	app, refusal := readCall(s, r, &in)
	switch {
	case refusal == 47001, refusal == 0 && (in.Scene == "" || len(in.Scene) > 32):
		return failure(40169, f)
	case refusal != 0:
		return failure(refusal, f)
	case !sceneText.MatchString(in.Scene):
		return failure(40129, f)
	case strings.HasPrefix(in.Page, "/"), strings.Contains(in.Page, "?"):
		return failure(41030, f)
	}
	published := in.CheckPath == nil || *in.CheckPath
	if published && in.Page != "" && app.Pages != nil && !slices.Contains(app.Pages, in.Page) {
		return failure(41030, f)
	}
	s.scenes = append(s.scenes, in.Scene)
	a := answer{status: http.StatusOK, contentType: "image/jpeg", body: Picture()}
	if f.Lie {
		a.contentType = "application/json; encoding=utf-8"
	}
	return a
}

// Scenes returns the scenes of all mini-program codes so far.
func (s *Server) Scenes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.scenes)
}

// Picture is the small JPEG of every mini-program code.
func Picture() []byte {
	m := image.NewGray(image.Rect(0, 0, 43, 43))
	for i := range m.Pix {
		m.Pix[i] = uint8(i * 37)
	}
	m.Set(21, 21, color.Black)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic("wechattest: " + err.Error())
	}
	return b.Bytes()
}
