package frontend

import (
	"embed"
	"html/template"
	"io/fs"
)

// The tests of the scripts stand in folders of their own, which these patterns leave out.
//
//go:embed page/*.js page/*.css page/*.svg client/*.js client/widget/*.js
var assets embed.FS

//go:embed page/*.html
var pages embed.FS

// FS gives the files that browsers fetch, as page/NAME, client/NAME and client/widget/NAME. The pages expect them
// under the path /assets/.
func FS() fs.FS {
	return assets
}

// Templates parses the pages: index.html takes Index, phone.html and landing.html take Scan,
// error.html takes Failure, wechat.html takes Returned, docs.html takes Docs.
func Templates() (*template.Template, error) {
	return template.ParseFS(pages, "page/*.html")
}

// Index is the data of the login page.
type Index struct {
	Sandbox        bool   // offers the sandbox's phone, and says that this is a sandbox
	Client         string // client_id
	Label, LabelEn string // the site's name in Chinese and English
	PublicURL      string // the issuer that a token must name
	WeChatWeb      bool   // offers WeChat's website login
	Open           string // the link, with {ticket}, that opens the mini-program on a phone; "" for none
}

// Scan is the data of the pages behind the QR code.
type Scan struct {
	Ticket string
	Open   template.URL // opens the mini-program on this phone; "" for none
}

// Returned is the data of the page that WeChat's website login ends on.
type Returned struct {
	Done bool // or else the user has refused
}

// Failure is the data of the error page, in the words of the problem that the api would answer.
type Failure struct {
	Status              int
	Code, Title, Detail string
}
