package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// browserForms are origins as people write them.
var browserForms = []string{
	"https://www.example.com", "HTTPS://WWW.Example.COM", "https://www.example.com:443", "https://www.example.com:0443", "https://www.example.com:",
	"http://www.example.com:80", "http://www.example.com:443", "https://www.example.com:8443", "http://localhost:3000", "https://my_site.example.com",
	"https://www.example.com.", "https://xn--fsqu00a.xn--0zwm56d", "https://XN--FSQU00A.XN--0ZWM56D",
	"https://例子.测试", "https://例子。测试:8443", "https://Bücher.example", "https://faß.de", "https://ＷＷＷ.example.com", "https://☕.example.com", "https://пример.рф",
	"https://192.0.2.1", "https://192.0.2.1.", "http://127.0.0.1:8080", "http://１２７.0.0.1",
	"https://[::1]", "http://[::1]:80", "http://[0:0:0:0:0:0:0:1]:8080", "https://[2001:DB8:0:0:0:0:0:1]", "https://[2001:0db8::0001]:443",
	"https://[2001:db8:0:0:1:0:0:1]", "https://[2001:db8:0:1:1:1:1:1]", "https://[::ffff:192.0.2.1]", "https://[::FFFF:C000:0201]", "https://[64:ff9b::192.0.2.33]", "https://[::]",
}

// TestOrigin_BrowserForm compares with Node.js, which implements the URL standard as browsers do.
func TestOrigin_BrowserForm(t *testing.T) {
	list, err := json.Marshal(browserForms)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("node", "-p", "JSON.stringify(JSON.parse(process.argv[1]).map((text) => new URL(text).origin))", string(list)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, text := range browserForms {
		got, err := clientOrigin(text)
		if err != nil || got != want[i] {
			t.Errorf("%s becomes %s (%v), in a browser %s", text, got, err, want[i])
		}
		public, err := publicURL(text + "/")
		if err != nil || public != want[i] {
			t.Errorf("public URL %s/ becomes %s (%v), in a browser %s", text, public, err, want[i])
		}
	}
}

func TestOrigin_ShellExact(t *testing.T) {
	for _, origin := range []string{
		"capacitor://localhost", "ionic://localhost", "tauri://localhost", "app://-", "app://obsidian.md", "myapp://localhost", "myapp://localhost:8080",
		"chrome-extension://abcdefghijklmnopabcdefghijklmnop", "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
		"safari-web-extension://2C127FA4-62C7-7E4F-90E5-472B45EECFDC", "https://tauri.localhost", "https://localhost",
	} {
		got, err := loadClients(writeClients(t, "clients:\n  - id: demo\n    origins: ['"+origin+"']\n"), Config{})
		if err != nil || len(got[0].Origins) != 1 || got[0].Origins[0] != origin {
			t.Errorf("%s: %v %v", origin, got, err)
		}
	}
	if _, err := publicURL("capacitor://localhost"); err == nil {
		t.Error("a web view's origin is accepted as public URL")
	}
}

func TestOrigin_NoPath(t *testing.T) {
	for _, bad := range []string{
		"www.example.com", "https://", "https://www.example.com/", "https://www.example.com/path", "https://www.example.com?x", "https://www.example.com#x",
		"https://user@www.example.com", "ftp://www.example.com", "//www.example.com", "null", "*", "https://*.example.com/", "https://www.example.com ", "",
		"https://www.example.com:port", "javascript:alert(1)",
		"capacitor://", "capacitor://localhost/", "capacitor://localhost/x", "Capacitor://localhost", "capacitor://*", "capacitor://user@localhost", "capacitor:localhost",
		"htps://www.example.com", "file://", "file://localhost", "ftp://localhost", "ws://localhost", "wss://localhost", "data://x", "blob://x", "about://blank", "javascript://x",
		"chrome-extension://*", "chrome-extension://abc/popup.html", "NULL", "null://", "http:null",
		"https://www.example.com?", "https://www.example.com#", "https://www.example.com\\", "https://@www.example.com", "https://www.example.com:65536",
		"https://[fe80::1%25eth0]", "https://[::1", "https://::1", "https://[::1]x", "https://127.1", "https://0x7f.0.0.1", "https://010.0.0.1", "https://1.2.3.4.5", "https://256.0.0.1",
		"https://xn--a.example", "https://exa mple.com", "https://a,b.example", "https://%zz.example",
	} {
		got, err := loadClients(writeClients(t, "clients:\n  - id: demo\n    origins: ['"+bad+"']\n"), Config{})
		if err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), "origin") {
			t.Errorf("%s: %v and %+v", bad, err, got)
		}
	}
}
