// A service behind wxgate: who calls stands in three headers, and there is no other auth code.
package main

import (
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
)

// header gives nil for a header that is not there: an empty text must not be taken for a user.
func header(c *gin.Context, name string) any {
	if value := c.GetHeader(name); value != "" {
		return value
	}
	return nil
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	router := gin.Default()
	router.GET("/api/me", func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{
			"openid":  header(c, "X-WX-OPENID"), // nil: an anonymous request
			"appid":   header(c, "X-WX-APPID"),
			"unionid": header(c, "X-WX-UNIONID"),
		})
	})
	if err := router.Run("127.0.0.1:" + port); err != nil {
		panic(err)
	}
}
