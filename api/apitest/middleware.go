package apitest

import (
	"bytes"
	"io"
	"net/http"
)

// Middleware stands around a hub's handler and holds every exchange to the contract;
// report is told of each that breaks it, in the goroutine of the request. Answers of
// a proxy on the way are not looked at.
func (c *Spec) Middleware(next http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request bytes.Buffer
		watched := &recordingWriter{ResponseWriter: w}
		path := r.URL.RawPath
		if path == "" {
			path = r.URL.Path
		}
		x := Exchange{Method: r.Method, Path: path, ContentType: r.Header.Get("Content-Type")}
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &request), r.Body}
		next.ServeHTTP(watched, r)
		x.Request, x.Status, x.Header, x.Body = request.Bytes(), watched.status, watched.header, watched.body.Bytes()
		if x.Status == 0 {
			return // the connection was cut before an answer
		}
		if err := c.Check(x); err != nil && !x.fromOtherHost() {
			report(err)
		}
	})
}

type recordingWriter struct {
	http.ResponseWriter
	status int
	header http.Header
	body   bytes.Buffer
}

// Unwrap is for http.ResponseController: sockets take the connection over.
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
