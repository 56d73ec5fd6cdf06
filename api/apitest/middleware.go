package apitest

import (
	"bytes"
	"io"
	"net/http"
)

// Middleware returns a handler that checks each exchange of next against the contract
// and calls report for each violation, in the goroutine of the request. Answers that a
// proxy has written are not checked.
func (s *Spec) Middleware(next http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request bytes.Buffer
		recorded := &recordingWriter{ResponseWriter: w}
		path := r.URL.RawPath
		if path == "" {
			path = r.URL.Path
		}
		x := Exchange{Method: r.Method, Path: path, ContentType: r.Header.Get("Content-Type")}
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &request), r.Body}
		next.ServeHTTP(recorded, r)
		x.Request, x.Status, x.Header, x.Body = request.Bytes(), recorded.status, recorded.header, recorded.body.Bytes()
		if x.Status == 0 {
			return // the connection ended before an answer
		}
		if err := s.Check(x); err != nil && !x.fromOtherHost() {
			report(err)
		}
	})
}

// recordingWriter keeps a copy of the answer.
type recordingWriter struct {
	http.ResponseWriter
	status int
	header http.Header
	body   bytes.Buffer
}

// Unwrap lets http.ResponseController hijack the connection for a WebSocket.
func (w *recordingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recordingWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.header = status, w.ResponseWriter.Header().Clone()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recordingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}
