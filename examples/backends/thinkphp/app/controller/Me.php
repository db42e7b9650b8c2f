<?php
// ThinkPHP 8: GET /me, or name it in route/app.php: Route::get('api/me', 'me/index');
declare(strict_types=1);

namespace app\controller;

use think\Request;
use think\response\Json;

class Me
{
    public function index(Request $request): Json
    {
        return json([
            'openid' => $request->header('x-wx-openid'), // null: an anonymous request
            'appid' => $request->header('x-wx-appid'),
            'unionid' => $request->header('x-wx-unionid'),
        ]);
    }
}
