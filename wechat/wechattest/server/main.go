// Command server runs an imitation of WeChat for tests that are not written in Go. It prints
// {"api":URL,"control":URL} and runs until its standard input ends. The control URL has seven routes:
// POST /code?user=NAME returns a code as wx.login does, POST /phone?number=N one as getPhoneNumber does, POST /allow?user=NAME&template=ID allows
// a message, GET /messages returns those sent, POST /secret?value=SECRET replaces the
// app's secret, POST /fail?errcode=N makes the next exchange fail with that errcode, and GET /calls returns the number of exchanges.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"

	"loginhub/wechat/wechattest"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: wechat APPID SECRET")
	}
	app := wechattest.App{ID: os.Args[1], Secret: os.Args[2], OpenPlatform: "company",
		Templates: map[string][]string{"login": {"thing1", "time2", "thing3"}}, Pages: []string{"pages/confirm/confirm", "pages/notice/notice"}}
	api := wechattest.New(wechattest.Options{})
	defer api.Close()
	api.Register(app)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, control(api, app))) }()
	control := "http://" + listener.Addr().String()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"api": api.URL, "control": control}); err != nil {
		log.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func control(api *wechattest.Server, app wechattest.App) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /code", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, api.Code(app.ID, r.FormValue("user")))
	})
	mux.HandleFunc("POST /secret", func(_ http.ResponseWriter, r *http.Request) {
		app.Secret = r.FormValue("value")
		api.Register(app)
	})
	mux.HandleFunc("POST /phone", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, api.PhoneCode(app.ID, "86", r.FormValue("number")))
	})
	mux.HandleFunc("POST /allow", func(_ http.ResponseWriter, r *http.Request) {
		api.AllowMessage(app.ID, r.FormValue("user"), r.FormValue("template"))
	})
	mux.HandleFunc("GET /messages", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.Messages())
	})
	mux.HandleFunc("POST /fail", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.FormValue("errcode"))
		api.Fail(wechattest.Fault{Errcode: code})
	})
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, api.Calls())
	})
	return mux
}
