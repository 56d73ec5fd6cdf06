<?php
// A whole site whose users log in with their phone.
//
//   HUB=https://login.example.com CLIENT_ID=demo php -S 127.0.0.1:3000 index.php
declare(strict_types=1);

require __DIR__ . '/verify.php';

$hub = rtrim(getenv('HUB'), '/');
$clientId = getenv('CLIENT_ID');
$store = getenv('STORE') ?: sys_get_temp_dir() . '/loginhub-example';
$verifier = new Verifier($hub, $clientId, $store);

// A cookie that no other site, and no other host of this domain, can set. With a local hub the site
// is local too: Safari has no Secure cookies on http.
$secure = !str_starts_with($hub, 'http://');
session_name($secure ? '__Host-session' : 'session');
session_save_path($store);
session_start(['cookie_path' => '/', 'cookie_secure' => $secure, 'cookie_httponly' => true,
    'cookie_samesite' => 'Lax', 'use_strict_mode' => true]);
header('Cache-Control: no-store');

switch ($_SERVER['REQUEST_METHOD'] . ' ' . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case 'GET /':
        $_SESSION['nonce'] ??= bin2hex(random_bytes(16));
        break; // the page below

    case 'POST /session':
        try {
            $claims = $verifier->verify((string) file_get_contents('php://input', false, null, 0, 8193), $_SESSION['nonce'] ?? '');
        } catch (Refused $refused) {
            error_log('login refused: ' . $refused->getMessage());
            http_response_code(401);
            exit('login refused');
        }
        session_regenerate_id(true); // a new id: an attacker may know the old one
        $_SESSION = ['user' => $claims['sub']];
        http_response_code(204);
        exit;

    case 'POST /logout':
        $_SESSION = [];
        session_destroy();
        header('Location: /', true, 303);
        exit;

    default:
        http_response_code(404);
        exit;
}

$text = fn (string $s): string => htmlspecialchars($s, ENT_QUOTES);
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Example</title>
<main>
<h1>Example</h1>
<?php if (isset($_SESSION['user'])): ?>
<p>Logged in as <strong id="user"><?= $text($_SESSION['user']) ?></strong></p>
<form method="post" action="/logout"><button>Log out</button></form>
<?php else: ?>
<script type="module" src="<?= $text($hub) ?>/assets/client/widget/login-qr.js"></script>
<login-qr client="<?= $text($clientId) ?>" login-nonce="<?= $text($_SESSION['nonce']) ?>"></login-qr>
<script type="module">
  const widget = document.querySelector("login-qr")
  widget.addEventListener("login", ({ detail }) =>
    detail.waitUntil(fetch("/session", { method: "POST", body: detail.token }).then((answer) => {
      if (!answer.ok) throw new Error("the site answers " + answer.status)
    })))
  widget.addEventListener("state", ({ detail }) => { if (detail.state === "consumed") location.reload() })
</script>
<?php endif ?>
</main>
</html>
