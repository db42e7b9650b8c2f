<?php
// Laravel: what stands in routes/api.php is served below /api.

use Illuminate\Http\Request;
use Illuminate\Support\Facades\Route;

Route::get('/me', fn (Request $request) => [
    'openid' => $request->header('X-WX-OPENID'), // null: an anonymous request
    'appid' => $request->header('X-WX-APPID'),
    'unionid' => $request->header('X-WX-UNIONID'),
]);
