// A service behind wxgate: who calls stands in three headers, and there is no other auth code.
package demo;

import java.util.Map;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class App {
    /** Not Map.of: it takes no null. */
    public record Me(String openid, String appid, String unionid) {}

    @GetMapping("/api/me")
    public Me me(
            @RequestHeader(name = "X-WX-OPENID", required = false) String openid, // null: an anonymous request
            @RequestHeader(name = "X-WX-APPID", required = false) String appid,
            @RequestHeader(name = "X-WX-UNIONID", required = false) String unionid) {
        return new Me(openid, appid, unionid);
    }

    public static void main(String[] arguments) {
        var app = new SpringApplication(App.class);
        var port = System.getenv().getOrDefault("PORT", "3000");
        app.setDefaultProperties(Map.of("server.address", "127.0.0.1", "server.port", port));
        app.run(arguments);
    }
}
