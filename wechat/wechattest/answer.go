package wechattest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// answer is an HTTP answer before a Fault changes it.
type answer struct {
	status      int
	contentType string
	body        []byte
	location    string
}

// serve handles every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	f, ok := s.arrive(r)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	defer s.handlers.Done()
	var a answer
	if strings.HasPrefix(r.URL.Path, "/connect/") {
		a = s.connect(r)
	} else {
		a = s.answer(r, f)
	}
	if !keepBack(r.Context(), f) {
		panic(http.ErrAbortHandler)
	}
	a.send(w, f.Break)
}

// arrive counts a call and returns its Fault. It returns false if the server is
// closed.
func (s *Server) arrive(r *http.Request) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Fault{}, false
	}
	s.handlers.Add(1)
	if strings.HasPrefix(r.URL.Path, "/connect/") {
		return Fault{}, true // a person's browser, not the API
	}
	return s.count(r), true
}

// count counts a call and returns its Fault.
func (s *traffic) count(r *http.Request) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.perPath[r.URL.Path]++
	s.perCode[r.URL.Query().Get("js_code")+r.URL.Query().Get("code")]++
	close(s.arrival)
	s.arrival = make(chan struct{})
	return s.nextFault()
}

// answer routes a call by its path.
func (s *Server) answer(r *http.Request, f Fault) answer {
	const html = "<html>\r\n<head><title>%[1]d</title></head>\r\n<body><center><h1>%[1]d</h1></center></body>\r\n</html>\r\n"
	switch {
	case f.Page == EmptyPage:
		return answer{status: http.StatusOK, contentType: "text/html; charset=gbk"}
	case f.Page == HTMLPage:
		return answer{status: http.StatusOK, contentType: "text/html", body: fmt.Appendf(nil, html, http.StatusOK)}
	case f.Page == BadGatewayPage:
		return answer{status: http.StatusBadGateway, contentType: "text/html", body: fmt.Appendf(nil, html, http.StatusBadGateway)}
	case f.Errcode != 0:
		return failure(f.Errcode, f).manners(r)
	}
	switch q := r.URL.Query(); r.URL.Path {
	case "/sns/jscode2session":
		return s.jscode2session(q, f)
	case "/sns/oauth2/access_token":
		return webToken(s, q, f)
	case "/sns/userinfo":
		return userInfo(s, q, f)
	case "/cgi-bin/stable_token":
		return s.stableToken(r, f).manners(r)
	case "/wxa/getwxacodeunlimit":
		return wxacode(s, r, f).manners(r)
	case "/wxa/business/getuserphonenumber":
		return phoneNumber(s, r, f).manners(r)
	case "/cgi-bin/message/subscribe/send":
		return sendMessage(s, r, f).manners(r)
	case "/wxaapi/newtmpl/gettemplate":
		return templates(s, r, f).manners(r)
	case "/cgi-bin/qrcode/create":
		return createScene(s, r, f).manners(r)
	case "/cgi-bin/user/info":
		return follower(s, r, f).manners(r)
	default:
		return answer{status: http.StatusNotFound, contentType: "text/html", body: fmt.Appendf(nil, html, http.StatusNotFound)}
	}
}

// manners adapts an answer of a call outside /sns: another content type, and no
// comma before the trace. Pictures are unchanged.
func (a answer) manners(r *http.Request) answer {
	if a.contentType == "text/plain" && !strings.HasPrefix(r.URL.Path, "/sns/") {
		a.contentType = "application/json; encoding=utf-8"
		a.body = bytes.Replace(a.body, []byte(", rid: "), []byte(" rid: "), 1)
	}
	return a
}

// send writes the answer, broken as b says.
func (a answer) send(w http.ResponseWriter, b Break) {
	sent := a.body
	switch b {
	case HangUp, Reset:
		hangUp(w, b == Reset)
		return
	case Truncated:
		a.body = a.body[:len(a.body)/2]
		sent = a.body
	case CutOff:
		sent = a.body[:len(a.body)/2]
	}
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(sent)
	if b == CutOff {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// hangUp closes the connection without an answer, orderly or by reset.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// body returns v as JSON with the /sns calls' content type, text/plain.
func body(v any) answer {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("wechattest: %v", err))
	}
	return answer{status: http.StatusOK, contentType: "text/plain", body: b}
}
