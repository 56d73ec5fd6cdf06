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
			"merged": func(sections ...string) Texts { return catalogue.Merged(l.Tag, sections...) },
		}
		if p.templates[l.Tag], err = template.New("").Funcs(functions).ParseFS(pageFiles, "page/*.html"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Execute writes a page in a language.
func (p *Pages) Execute(w io.Writer, tag, name string, data any) error {
	return p.templates[tag].ExecuteTemplate(w, name, data)
}
