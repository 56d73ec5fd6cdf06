package frontend

import (
	"embed"
	"html/template"
	"io"
)

//go:embed page/*.html
var pageFiles embed.FS

// Pages are the HTML pages in all languages.
type Pages struct {
	*Catalogue
	templates map[string]*template.Template // by tag
}

// NewPages parses the pages and the catalogue. The data of index.html is Index, of phone.html and consent.html Consent, of
// landing.html Landing, of error.html Failure, of device.html Device, of weblogin.html WebLoginResult, of continue.html Form, of
// logout.html Logout, and of docs.html Docs.
func NewPages() (*Pages, error) {
	catalogue, err := NewCatalogue()
	if err != nil {
		return nil, err
	}
	p := &Pages{catalogue, map[string]*template.Template{}}
	for _, l := range catalogue.Languages() {
		functions := template.FuncMap{
			"asset":     assetURL,
			"boot":      func() template.JS { return template.JS(bootScript) },
			"language":  func() Language { return l },
			"languages": catalogue.Languages,
			"t":         func(section string, path ...string) any { return catalogue.Text(l.Tag, section, path...) },
			"fill": func(section, key string, pairs ...string) string {
				return catalogue.Fill(l.Tag, section, key, pairs...)
			},
			"head":    func(sheet string, brand Brand) Head { return Head{sheet, brand} },
			"nobrand": func() Brand { return Brand{} },
			"merged":  func(sections ...string) Texts { return catalogue.Merged(l.Tag, sections...) },
		}
		if p.templates[l.Tag], err = template.New("").Funcs(functions).ParseFS(pageFiles, "page/*.html"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Head is the data of the pages' head.
type Head struct {
	Sheet string
	Brand Brand
}

// Brand is the look of a site's pages; zero: the hub's.
type Brand struct {
	Name        string // of the site, beside the logo
	Logo, Sheet string // paths below /assets/; "" for none
	Theme       string // light, dark, or "" for the browser's
}

// LoginMessages returns the texts of the login page in a language. replaced has a site's own
// texts by language and key; those of the other languages are under the key replaced, for the
// page's script.
func (c *Catalogue) LoginMessages(tag string, replaced map[string]map[string]string) Texts {
	all := c.Merged(tag, "login", "page")
	for key, text := range replaced[tag] {
		if _, known := all[key]; known {
			all[key] = text
		}
	}
	if replaced != nil {
		all["replaced"] = replaced
	}
	return all
}

// Execute writes a page in a language.
func (p *Pages) Execute(w io.Writer, tag, name string, data any) error {
	return p.templates[tag].ExecuteTemplate(w, name, data)
}
