package wechattest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
)

// answer is a whole HTTP answer, before it is spoilt.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// serve takes every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	f, ok := s.arrive(r)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	defer s.handlers.Done()
	a := s.answer(r, f)
	if !keepBack(r.Context(), f) {
		panic(http.ErrAbortHandler)
	}
	a.send(w, f.Break)
}

// arrive counts a call and takes its Fault; false once the server is closed.
func (s *Server) arrive(r *http.Request) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Fault{}, false
	}
	s.handlers.Add(1)
	s.calls++
	s.perCode[r.URL.Query().Get("js_code")]++
	close(s.arrival)
	s.arrival = make(chan struct{})
	return s.nextFault(), true
}

// answer works out what to say: all calls of this WeChat, by path.
func (s *Server) answer(r *http.Request, f Fault) answer {
	const html = "<html>\r\n<head><title>%[1]d</title></head>\r\n<body><center><h1>%[1]d</h1></center></body>\r\n</html>\r\n"
	switch {
	case f.Page == EmptyPage:
		return answer{status: http.StatusOK, contentType: "text/html; charset=gbk"}
	case f.Page == HTMLPage:
		return answer{http.StatusOK, "text/html", fmt.Appendf(nil, html, http.StatusOK)}
	case f.Page == BadGatewayPage:
		return answer{http.StatusBadGateway, "text/html", fmt.Appendf(nil, html, http.StatusBadGateway)}
	case f.Errcode != 0:
		return failure(f.Errcode, f)
	}
	switch r.URL.Path {
	case "/sns/jscode2session":
		return s.jscode2session(r.URL.Query(), f)
	default:
		return answer{http.StatusNotFound, "text/html", fmt.Appendf(nil, html, http.StatusNotFound)}
	}
}

// send writes the answer, spoilt as b says.
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
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(sent)
	if b == CutOff {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// hangUp ends the connection without a byte, orderly or by reset.
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

// body gives v as the JSON of the /sns calls: text/plain.
func body(v any) answer {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("wechattest: %v", err))
	}
	return answer{http.StatusOK, "text/plain", b}
}
