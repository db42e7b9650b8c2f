module example.com/wxgate-example-gin

go 1.21

require github.com/gin-gonic/gin v1.10.1
