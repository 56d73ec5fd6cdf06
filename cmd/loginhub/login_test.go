package main_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"loginhub/hub/hubtest"
)

// program is the path of the tested binary. TestMain builds it once.
var program string

func TestMain(m *testing.M) {
	path, remove, err := hubtest.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = path
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // these tests mostly wait, so more can run at once
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	broken := checkContract()
	code := m.Run()
	for _, err := range broken() {
		fmt.Fprintln(os.Stderr, "not in api/openapi.yaml:", err)
		code = 1
	}
	remove()
	os.Exit(code)
}

func TestLogin_AcrossNodes(t *testing.T) {
	redis := hubtest.StartRedis(t)
	var urls []string
	for range 3 {
		urls = append(urls, hubtest.StartNode(t, program, "REDIS_URL="+redis.URL).URL)
	}
	// Every combination of the nodes for ticket, socket, scan and confirm.
	for i := range 81 {
		make, hold, scan, confirm := urls[i%3], urls[i/3%3], urls[i/9%3], urls[i/27]
		t.Run(fmt.Sprintf("%04d", i), func(t *testing.T) {
			ctx := loginContext(t)
			ticket, err := hubtest.CreateTicket(ctx, make, nil)
			if err != nil {
				t.Fatal(err)
			}
			page, err := ticket.Dial(ctx, hold)
			if err != nil {
				t.Fatal(err)
			}
			defer page.Conn.CloseNow()
			if v, err := page.Next(ctx); err != nil || v.State != "pending" || v.Seq != 1 {
				t.Fatalf("first view %+v %v", v, err)
			}
			phone := hubtest.NewPhone("小明")
			a, err := phone.Do(ctx, scan, ticket.ID, "scan", map[string]any{"user": hubtest.User{Nickname: "小明"}})
			if err != nil || a.Status != 200 {
				t.Fatalf("scan %+v %v", a, err)
			}
			if v, err := page.Next(ctx); err != nil || v.State != "scanned" || v.Seq != 2 || v.User == nil || v.User.Nickname != "小明" {
				t.Fatalf("scanned view %+v %v", v, err)
			}
			a, err = phone.Do(ctx, confirm, ticket.ID, "confirm", nil)
			if err != nil || a.Status != 200 {
				t.Fatalf("confirm %+v %v", a, err)
			}
			v, err := page.Next(ctx)
			if err != nil || v.State != "confirmed" || v.Seq != 3 || v.Token == "" {
				t.Fatalf("confirmed view %+v %v", v, err)
			}
			if err := page.Ack(ctx, v.Seq); err != nil {
				t.Fatal(err)
			}
			if v, err := page.Next(ctx); err != nil || v.State != "consumed" || v.Seq != 4 {
				t.Fatalf("consumed view %+v %v", v, err)
			}
			if code := page.Closed(ctx); code != 1000 {
				t.Fatalf("closed with %d", code)
			}
		})
	}
}
