package request

import (
	"regexp"
	"strings"

	"github.com/mileusna/useragent"
)

// maxUserAgent bounds how many bytes of a User-Agent are parsed.
const maxUserAgent = 512

// browsers maps the library's browser names to the displayed names; other names
// are never displayed. A client that is not a browser can write any text into
// its User-Agent, and the library takes any word of it for a name. "Approved by
// your IT desk/1.0" would then be on the screen on which a person decides.
var browsers = map[string]string{
	useragent.Chrome: "Chrome", useragent.HeadlessChrome: "Headless Chrome", useragent.Edge: "Edge",
	useragent.Firefox: "Firefox", useragent.Safari: "Safari", useragent.InternetExplorer: "Internet Explorer",
	useragent.Opera: "Opera", useragent.OperaMini: "Opera Mini", useragent.OperaTouch: "Opera Touch",
	useragent.Vivaldi: "Vivaldi", useragent.SamsungBrowser: "Samsung Browser",
	"Huawei Browser": "Huawei Browser", "Miui Browser": "Miui Browser", "Android browser": "Android browser",
}

// uaTokens identify browsers that the library does not know. They are tried in
// this order, because WeChat's User-Agent also contains QQ's token.
var uaTokens = []struct{ token, name string }{
	{"MicroMessenger/", "WeChat"},
	{"QQBrowser/", "QQ Browser"}, // MQQBrowser too
	{"UCBrowser/", "UC Browser"},
	{"UBrowser/", "UC Browser"},
	{"QihooBrowser/", "360 Browser"},
	{"360SE/", "360 Browser"},
	{"QuarkPC/", "Quark"},
	{"Quark/", "Quark"},
	{"HuaweiBrowser/", "Huawei Browser"}, // the library reports "Mobile HuaweiBrowser"
	{"YaBrowser/", "Yandex Browser"},
	{"Maxthon/", "Maxthon"},
}

// systems maps the library's names of operating systems to the displayed names.
var systems = map[string]string{
	useragent.Windows: "Windows", useragent.WindowsPhone: "Windows Phone", useragent.MacOS: "macOS",
	useragent.Linux: "Linux", useragent.FreeBSD: "FreeBSD", useragent.ChromeOS: "ChromeOS",
	useragent.Android: "Android", useragent.IOS: "iOS", useragent.Harmony: "HarmonyOS", useragent.BlackBerry: "BlackBerry",
}

// majorVersion matches a version up to its first dot. A number with more digits
// than a browser version has could be a telephone number.
var majorVersion = regexp.MustCompile(`^([0-9]{1,4})(?:[^0-9]|$)`)

// UserAgent returns the browser and system that a User-Agent claims, for
// example "Chrome 150" and "Windows"; "" if it is not a known one.
func UserAgent(header string) (browser, system string) {
	header = header[:min(len(header), maxUserAgent)]
	ua := useragent.Parse(header)
	browser, version := browsers[ua.Name], ua.Version
	for _, known := range uaTokens {
		if _, after, found := strings.Cut(header, known.token); found {
			browser, version = known.name, after
			break
		}
	}
	if number := majorVersion.FindStringSubmatch(version); browser != "" && number != nil {
		browser += " " + number[1]
	}
	return browser, systems[ua.OS]
}

// tools are programs without a browser that ask for a device code, by the beginning of
// their User-Agent. As with browsers, other names are never displayed.
var tools = []struct{ prefix, name string }{
	{"loginhub (", "loginhub"},
	{"Go-http-client/", "Go"},
	{"curl/", "curl"},
	{"Wget/", "Wget"},
	{"python-requests/", "Python"},
	{"python-httpx/", "Python"},
	{"Python/", "Python"}, // aiohttp
	{"node", "Node.js"},
	{"okhttp/", "okhttp"},
	{"Java", "Java"},
	{"Apache-HttpClient/", "Java"},
	{"Dart/", "Dart"},
}

// Device returns the program and system that the User-Agent of a device claims: as
// UserAgent, and also programs that are no browser.
func Device(header string) (program, system string) {
	program, system = UserAgent(header)
	for _, tool := range tools {
		if program == "" && strings.HasPrefix(header, tool.prefix) {
			program = tool.name
		}
	}
	return program, system
}
