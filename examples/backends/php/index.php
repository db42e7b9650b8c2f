<?php
// A service behind wxgate: who calls stands in three headers, and there is no other auth code.
declare(strict_types=1);

header('Content-Type: application/json');
echo json_encode([
    'openid' => $_SERVER['HTTP_X_WX_OPENID'] ?? null, // null: an anonymous request
    'appid' => $_SERVER['HTTP_X_WX_APPID'] ?? null,
    'unionid' => $_SERVER['HTTP_X_WX_UNIONID'] ?? null,
]);
