<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="zh_CN" sourcelanguage="en">
<context>
    <name>app</name>
    <message>
        <source>Its own document is closed: it was put on this one.</source>
        <translation>原来的文档已关闭，图片已放到当前文档上。</translation>
    </message>
    <message>
        <source>Nothing can be stored on this computer ({why}). Do not close Krita amid a picture.</source>
        <translation>这台电脑无法保存数据（{why}）。图片完成前请不要关闭 Krita。</translation>
    </message>
    <message>
        <source>Open a picture first.</source>
        <translation>请先打开一幅图片。</translation>
    </message>
    <message>
        <source>Reading the file</source>
        <translation>正在读取文件</translation>
    </message>
</context>
<context>
    <name>desk</name>
    <message>
        <source>The canvas could not be stored on the server. Send it again.</source>
        <translation>画布无法存到服务器上。请重新发送。</translation>
    </message>
    <message>
        <source>The picture is not on the server any more. Send the request again.</source>
        <translation>图片已不在服务器上。请重新发送请求。</translation>
    </message>
    <message>
        <source>The pictures of this request are gone. Paint it anew.</source>
        <translation>此请求的图片已经没有了。请重新绘制。</translation>
    </message>
    <message>
        <source>The server does not know this picture any more. Send it again.</source>
        <translation>服务器已不认识这幅图片。请重新发送。</translation>
    </message>
    <message>
        <source>What came from the server is no picture. Paint it anew.</source>
        <translation>服务器发来的不是图片。请重新绘制。</translation>
    </message>
</context>
<context>
    <name>docker</name>
    <message>
        <source>&amp;History</source>
        <translation>历史(&amp;H)</translation>
    </message>
    <message>
        <source>&amp;Paint</source>
        <translation>绘画(&amp;P)</translation>
    </message>
    <message>
        <source>Address of the server</source>
        <translation>服务器地址</translation>
    </message>
    <message>
        <source>Each request in this document, with small pictures of it, is recorded for you and whoever leads your team.</source>
        <translation>此文档中的每个请求及其小图会为您和团队负责人记录下来。</translation>
    </message>
    <message>
        <source>Expert</source>
        <translation>专家</translation>
    </message>
    <message>
        <source>Grow on the canvas</source>
        <translation>在画布上显示生成过程</translation>
    </message>
    <message>
        <source>How much is shown</source>
        <translation>显示多少内容</translation>
    </message>
    <message>
        <source>Keep a GPU awake</source>
        <translation>让 GPU 保持唤醒</translation>
    </message>
    <message>
        <source>No</source>
        <translation>不用</translation>
    </message>
    <message>
        <source>Not offered any more: {names}</source>
        <translation>已不再提供：{names}</translation>
    </message>
    <message>
        <source>Record the making</source>
        <translation>记录创作过程</translation>
    </message>
    <message>
        <source>Sho&amp;w</source>
        <translation>显示(&amp;W)</translation>
    </message>
    <message>
        <source>Show me</source>
        <translation>显示</translation>
    </message>
    <message>
        <source>Sign in</source>
        <translation>登录</translation>
    </message>
    <message>
        <source>Sign out</source>
        <translation>退出登录</translation>
    </message>
    <message>
        <source>Simple</source>
        <translation>简单</translation>
    </message>
    <message>
        <source>Standard</source>
        <translation>标准</translation>
    </message>
    <message>
        <source>Tells your studio, at most once a minute, that you are at work on the canvas.</source>
        <translation>最多每分钟一次告诉工作室您正在画布上工作。</translation>
    </message>
    <message>
        <source>The JSON cannot be read. Correct it, or empty the field.</source>
        <translation>无法读取该 JSON。请更正，或清空此栏。</translation>
    </message>
    <message>
        <source>The picture is seen where it will be, and is no part of the document. It goes when you paint there.</source>
        <translation>图片显示在它将要放置的位置，但不属于文档。您在画布上绘画时它就会消失。</translation>
    </message>
    <message>
        <source>There is more: refine, styles, LoRAs and control layers. Show it?</source>
        <translation>还有更多功能：精修、风格、LoRA 和控制图层。要显示吗？</translation>
    </message>
    <message>
        <source>There is more: regions, samplers and steps. Show it?</source>
        <translation>还有更多功能：区域、采样器和步数。要显示吗？</translation>
    </message>
    <message>
        <source>Up to {price} credits</source>
        <translation>最多 {price} 点</translation>
    </message>
    <message>
        <source>Upload a LoRA</source>
        <translation>上传 LoRA</translation>
    </message>
    <message>
        <source>Upload a LoRA…</source>
        <translation>上传 LoRA…</translation>
    </message>
    <message>
        <source>Without it the first picture after a pause may wait for a GPU to wake, about 90 s.</source>
        <translation>关闭后，休息之后的第一幅图片可能要等 GPU 唤醒，约 90 秒。</translation>
    </message>
    <message>
        <source>Your team is a class: the making is recorded, unless you switch it off.</source>
        <translation>您的团队是一个班级：创作过程会被记录，除非您将其关闭。</translation>
    </message>
    <message>
        <source>{left} left</source>
        <translation>剩余 {left} 点</translation>
    </message>
</context>
<context>
    <name>following</name>
    <message>
        <source>The server does not know these variants any more. Send them again.</source>
        <translation>服务器已不认识这些变体。请重新发送。</translation>
    </message>
</context>
<context>
    <name>form</name>
    <message>
        <source>&amp;Guidance</source>
        <translation>引导强度(&amp;G)</translation>
    </message>
    <message>
        <source>&amp;Model</source>
        <translation>模型(&amp;M)</translation>
    </message>
    <message>
        <source>&amp;Seeds</source>
        <translation>种子数(&amp;S)</translation>
    </message>
    <message>
        <source>A new picture from the prompt, as large as the canvas or the selection</source>
        <translation>按提示词生成新图片，与画布或选区一样大</translation>
    </message>
    <message>
        <source>A picture from the prompt, as large as the canvas, or what is selected anew</source>
        <translation>按提示词生成与画布一样大的图片，或重画选区</translation>
    </message>
    <message>
        <source>Add an object</source>
        <translation>添加物体</translation>
    </message>
    <message>
        <source>Expand the picture</source>
        <translation>扩展画面</translation>
    </message>
    <message>
        <source>Fill</source>
        <translation>填充</translation>
    </message>
    <message>
        <source>Generate</source>
        <translation>生成</translation>
    </message>
    <message>
        <source>JSON to merge into the request</source>
        <translation>并入请求的 JSON</translation>
    </message>
    <message>
        <source>Keep what is there</source>
        <translation>保留原有内容</translation>
    </message>
    <message>
        <source>Live</source>
        <translation>实时</translation>
    </message>
    <message>
        <source>P&amp;ictures</source>
        <translation>数量(&amp;I)</translation>
    </message>
    <message>
        <source>Paint</source>
        <translation>绘制</translation>
    </message>
    <message>
        <source>Refine</source>
        <translation>精修</translation>
    </message>
    <message>
        <source>Remove an object</source>
        <translation>移除物体</translation>
    </message>
    <message>
        <source>Replace the background</source>
        <translation>替换背景</translation>
    </message>
    <message>
        <source>S&amp;ampler</source>
        <translation>采样器(&amp;A)</translation>
    </message>
    <message>
        <source>S&amp;eed</source>
        <translation>种子(&amp;E)</translation>
    </message>
    <message>
        <source>S&amp;teps</source>
        <translation>步数(&amp;T)</translation>
    </message>
    <message>
        <source>Sche&amp;dule</source>
        <translation>调度(&amp;D)</translation>
    </message>
    <message>
        <source>Sele&amp;ction</source>
        <translation>选区(&amp;C)</translation>
    </message>
    <message>
        <source>Si&amp;ze</source>
        <translation>大小(&amp;Z)</translation>
    </message>
    <message>
        <source>So many variants, each with a seed of its own, painted beside all else</source>
        <translation>绘制这么多个变体，每个使用不同的种子，与其他任务并行</translation>
    </message>
    <message>
        <source>St&amp;rength</source>
        <translation>强度(&amp;R)</translation>
    </message>
    <message>
        <source>St&amp;yle</source>
        <translation>风格(&amp;Y)</translation>
    </message>
    <message>
        <source>Start live</source>
        <translation>开始实时</translation>
    </message>
    <message>
        <source>Stop live</source>
        <translation>停止实时</translation>
    </message>
    <message>
        <source>The canvas enlarged, and painted again as far as the strength says</source>
        <translation>放大画布，并按强度重画</translation>
    </message>
    <message>
        <source>The canvas or the selection painted again, as far as the strength says</source>
        <translation>按强度重画画布或选区</translation>
    </message>
    <message>
        <source>The canvas painted again after each stroke</source>
        <translation>每画一笔就重画画布</translation>
    </message>
    <message>
        <source>The selection painted anew so that it fits what is around it</source>
        <translation>重画选区，使其与周围相合</translation>
    </message>
    <message>
        <source>Upscale</source>
        <translation>放大</translation>
    </message>
    <message>
        <source>Variants of the prompt, one a line</source>
        <translation>提示词的变体，每行一个</translation>
    </message>
    <message>
        <source>What not to paint</source>
        <translation>不要画什么</translation>
    </message>
    <message>
        <source>What to do</source>
        <translation>做什么</translation>
    </message>
    <message>
        <source>What to paint</source>
        <translation>画什么</translation>
    </message>
    <message>
        <source>by the model</source>
        <translation>由模型决定</translation>
    </message>
    <message>
        <source>only enlarge</source>
        <translation>仅放大</translation>
    </message>
    <message>
        <source>random</source>
        <translation>随机</translation>
    </message>
</context>
<context>
    <name>groups</name>
    <message>
        <source>{failed} of {all} variants failed: {error}</source>
        <translation>{all} 个变体中有 {failed} 个失败：{error}</translation>
    </message>
    <message>
        <source>{left} of {all} variants to come</source>
        <translation>{all} 个变体中还有 {left} 个</translation>
    </message>
</context>
<context>
    <name>history</name>
    <message>
        <source>Canceled</source>
        <translation>已取消</translation>
    </message>
    <message>
        <source>Control layer</source>
        <translation>控制图层</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>失败</translation>
    </message>
    <message>
        <source>Fills the form in as it was when this was painted</source>
        <translation>按当时绘制的设置填写表单</translation>
    </message>
    <message>
        <source>Contact sheets</source>
        <translation>联系表</translation>
    </message>
    <message>
        <source>All variants of a group on one picture, which the browser shows</source>
        <translation>一组的所有变体在一张图片上，由浏览器显示</translation>
    </message>
    <message>
        <source>{count} variants: {label}</source>
        <translation>{count} 个变体：{label}</translation>
    </message>
    <message>
        <source>No contact sheet is there: one is made some minutes after a group's last variant has come.</source>
        <translation>还没有联系表：一组的最后一个变体完成几分钟后才会生成。</translation>
    </message>
    <message>
        <source>Get the pictures</source>
        <translation>取回图片</translation>
    </message>
    <message>
        <source>Keep</source>
        <translation>保留</translation>
    </message>
    <message>
        <source>Keep no longer</source>
        <translation>不再保留</translation>
    </message>
    <message>
        <source>Looking</source>
        <translation>正在查找</translation>
    </message>
    <message>
        <source>No prompt has these words.</source>
        <translation>没有包含这些文字的提示词。</translation>
    </message>
    <message>
        <source>Nothing was painted yet.</source>
        <translation>还没有绘制过图片。</translation>
    </message>
    <message>
        <source>Picture</source>
        <translation>图片</translation>
    </message>
    <message>
        <source>Puts the pictures of this entry among the results, to be applied once more</source>
        <translation>把此条目的图片放到结果中，可再次应用</translation>
    </message>
    <message>
        <source>Search the prompts</source>
        <translation>搜索提示词</translation>
    </message>
    <message>
        <source>Show more</source>
        <translation>显示更多</translation>
    </message>
    <message>
        <source>The pictures go when their days are over</source>
        <translation>图片到期后会被删除</translation>
    </message>
    <message>
        <source>The pictures of this entry are not on the server any more.</source>
        <translation>此条目的图片已不在服务器上。</translation>
    </message>
    <message>
        <source>The pictures stay until you keep them no longer, and not for some days only</source>
        <translation>图片会一直保留，直到您不再保留，而不是只保留几天</translation>
    </message>
    <message>
        <source>The settings of this entry are not known any more.</source>
        <translation>此条目的设置已无法得知。</translation>
    </message>
    <message>
        <source>Took too long</source>
        <translation>耗时过长</translation>
    </message>
    <message>
        <source>Use these settings</source>
        <translation>使用这些设置</translation>
    </message>
    <message>
        <source>What was painted before; Enter uses its settings again</source>
        <translation>以前绘制的图片；按 Enter 键再次使用其设置</translation>
    </message>
    <message>
        <source>{name} ({count} pictures)</source>
        <translation>{name}（{count} 幅图片）</translation>
    </message>
    <message>
        <source>{name}: {how}</source>
        <translation>{name}：{how}</translation>
    </message>
</context>
<context>
    <name>jobs</name>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Canceling</source>
        <translation>正在取消</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>完成</translation>
    </message>
    <message>
        <source>Fetching the pictures</source>
        <translation>正在取回图片</translation>
    </message>
    <message>
        <source>It failed.</source>
        <translation>失败了。</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>移除</translation>
    </message>
    <message>
        <source>Rendering {percent} %</source>
        <translation>正在渲染 {percent} %</translation>
    </message>
    <message>
        <source>Send again</source>
        <translation>重新发送</translation>
    </message>
    <message>
        <source>Sending</source>
        <translation>正在发送</translation>
    </message>
    <message>
        <source>Sending the canvas</source>
        <translation>正在发送画布</translation>
    </message>
    <message>
        <source>The picture as far as it is</source>
        <translation>正在生成的图片</translation>
    </message>
    <message>
        <source>The picture failed. Send it again.</source>
        <translation>图片生成失败。请重新发送。</translation>
    </message>
    <message>
        <source>The picture took too long and was given up. Send it again.</source>
        <translation>图片耗时过长，已放弃。请重新发送。</translation>
    </message>
</context>
<context>
    <name>loras</name>
    <message>
        <source>The file cannot be read. Check it, and try again.</source>
        <translation>无法读取该文件。请检查后再试。</translation>
    </message>
    <message>
        <source>The file could not be stored on the server. Try again.</source>
        <translation>文件无法存到服务器上。请再试一次。</translation>
    </message>
    <message>
        <source>The file is too large: {most} MB are the most.</source>
        <translation>文件太大：最多 {most} MB。</translation>
    </message>
    <message>
        <source>Uploading {name}: {percent} %</source>
        <translation>正在上传 {name}：{percent} %</translation>
    </message>
    <message>
        <source>Your team has as many LoRAs as it may have. Ask your studio to remove some.</source>
        <translation>您团队的 LoRA 数量已达上限。请让工作室移除一些。</translation>
    </message>
</context>
<context>
    <name>painting</name>
    <message>
        <source>A layer that was chosen is not in this picture any more. Choose another one.</source>
        <translation>所选的图层已不在此图片中。请选择另一个。</translation>
    </message>
    <message>
        <source>Select what to fill first.</source>
        <translation>请先选择要填充的区域。</translation>
    </message>
    <message>
        <source>The layer “{name}” is empty. Paint on it, or choose another layer.</source>
        <translation>图层“{name}”是空的。请在上面绘画，或选择另一个图层。</translation>
    </message>
</context>
<context>
    <name>results</name>
    <message>
        <source>{prompt} (seed {seed})</source>
        <translation>{prompt}（种子 {seed}）</translation>
    </message>
    <message>
        <source>{prompt} ({label})</source>
        <translation>{prompt}（{label}）</translation>
    </message>
</context>
<context>
    <name>rows</name>
    <message>
        <source>Add: {what}</source>
        <translation>添加：{what}</translation>
    </message>
    <message>
        <source>Blurred picture</source>
        <translation>模糊图</translation>
    </message>
    <message>
        <source>Composition of a picture</source>
        <translation>参考图的构图</translation>
    </message>
    <message>
        <source>Control layers</source>
        <translation>控制图层</translation>
    </message>
    <message>
        <source>Depth</source>
        <translation>深度</translation>
    </message>
    <message>
        <source>Face</source>
        <translation>面部</translation>
    </message>
    <message>
        <source>Group</source>
        <translation>图层组</translation>
    </message>
    <message>
        <source>Kind</source>
        <translation>类型</translation>
    </message>
    <message>
        <source>Layer</source>
        <translation>图层</translation>
    </message>
    <message>
        <source>Line art</source>
        <translation>线稿</translation>
    </message>
    <message>
        <source>LoRA</source>
        <translation>LoRA</translation>
    </message>
    <message>
        <source>LoRAs</source>
        <translation>LoRA</translation>
    </message>
    <message>
        <source>Make this layer of the canvas: a hidden layer, to be chosen here</source>
        <translation>由画布生成此图层：一个隐藏的图层，在此选择</translation>
    </message>
    <message>
        <source>Normals</source>
        <translation>法线</translation>
    </message>
    <message>
        <source>Pose</source>
        <translation>姿势</translation>
    </message>
    <message>
        <source>Reference picture</source>
        <translation>参考图</translation>
    </message>
    <message>
        <source>Regions from groups</source>
        <translation>由图层组构成的区域</translation>
    </message>
    <message>
        <source>Scribble</source>
        <translation>涂鸦</translation>
    </message>
    <message>
        <source>Segmentation</source>
        <translation>分割</translation>
    </message>
    <message>
        <source>Sharp edges</source>
        <translation>硬边缘</translation>
    </message>
    <message>
        <source>Soft edges</source>
        <translation>软边缘</translation>
    </message>
    <message>
        <source>Stencil</source>
        <translation>模板</translation>
    </message>
    <message>
        <source>Strength</source>
        <translation>强度</translation>
    </message>
    <message>
        <source>Style of a picture</source>
        <translation>参考图的风格</translation>
    </message>
    <message>
        <source>What is there</source>
        <translation>这里有什么</translation>
    </message>
</context>
<context>
    <name>session</name>
    <message>
        <source>Approve this Krita on the page that has opened in the browser.</source>
        <translation>请在浏览器打开的页面上批准此 Krita。</translation>
    </message>
    <message>
        <source>Connected as {name}</source>
        <translation>已连接，用户：{name}</translation>
    </message>
    <message>
        <source>Connected as {name}, without live progress</source>
        <translation>已连接，用户：{name}（无实时进度）</translation>
    </message>
    <message>
        <source>Connecting</source>
        <translation>正在连接</translation>
    </message>
    <message>
        <source>Enter the address that your studio gave you.</source>
        <translation>请输入工作室给您的地址。</translation>
    </message>
    <message>
        <source>Nobody approved this Krita in 5 minutes. Sign in again.</source>
        <translation>5 分钟内无人批准此 Krita。请重新登录。</translation>
    </message>
    <message>
        <source>Sign in to paint with your studio's GPUs.</source>
        <translation>请登录，以使用工作室的 GPU 作画。</translation>
    </message>
    <message>
        <source>The connection is lost. It is tried again by itself.</source>
        <translation>连接已断开。会自动重试。</translation>
    </message>
    <message>
        <source>This is no address. It must begin with https://.</source>
        <translation>这不是地址。地址必须以 https:// 开头。</translation>
    </message>
</context>
<context>
    <name>strip</name>
    <message>
        <source>Apply as a layer</source>
        <translation>作为图层应用</translation>
    </message>
    <message>
        <source>Pictures; Enter puts one on the canvas</source>
        <translation>图片；按回车键放到画布上</translation>
    </message>
    <message>
        <source>Preview on the canvas</source>
        <translation>在画布上预览</translation>
    </message>
</context>
<context>
    <name>styles</name>
    <message>
        <source>Digital art</source>
        <translation>数字绘画</translation>
    </message>
    <message>
        <source>Ink drawing</source>
        <translation>水墨线描</translation>
    </message>
    <message>
        <source>None</source>
        <translation>无</translation>
    </message>
    <message>
        <source>Photograph</source>
        <translation>照片</translation>
    </message>
    <message>
        <source>Watercolour</source>
        <translation>水彩</translation>
    </message>
</context>
<context>
    <name>waiting</name>
    <message>
        <source>Fourth in line</source>
        <translation>排在第四位</translation>
    </message>
    <message>
        <source>Next in line</source>
        <translation>下一个就是</translation>
    </message>
    <message>
        <source>No GPU is to be had at the moment; the picture waits and is tried again.</source>
        <translation>目前没有可用的 GPU；图片会等待并重试。</translation>
    </message>
    <message>
        <source>Number {place} in line</source>
        <translation>排在第 {place} 位</translation>
    </message>
    <message>
        <source>Second in line</source>
        <translation>排在第二位</translation>
    </message>
    <message>
        <source>The render was interrupted; the picture starts again.</source>
        <translation>渲染中断；图片重新开始。</translation>
    </message>
    <message>
        <source>Third in line</source>
        <translation>排在第三位</translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation>等待中</translation>
    </message>
    <message>
        <source>Waking a GPU</source>
        <translation>正在唤醒 GPU</translation>
    </message>
    <message>
        <source>about {count} min</source>
        <translation>约 {count} 分钟</translation>
    </message>
    <message>
        <source>about {count} s</source>
        <translation>约 {count} 秒</translation>
    </message>
    <message>
        <source>{state}, {time}</source>
        <translation>{state}，{time}</translation>
    </message>
</context>
<context>
    <name>words</name>
    <message>
        <source>Nobody answers at {host}. Check the address, or ask your studio whether the server is up.</source>
        <translation>{host} 没有应答。请检查地址，或询问工作室服务器是否在运行。</translation>
    </message>
    <message>
        <source>The connection to {host} failed. It is tried again by itself.</source>
        <translation>与 {host} 的连接失败。会自动重试。</translation>
    </message>
    <message>
        <source>The connection to {host} is not secure (its certificate is not good). Check this computer's clock, or ask your studio.</source>
        <translation>与 {host} 的连接不安全（证书无效）。请检查这台电脑的时钟，或询问工作室。</translation>
    </message>
    <message>
        <source>The pictures are too large for the server. Use a smaller canvas or selection.</source>
        <translation>图片对服务器来说太大。请使用较小的画布或选区。</translation>
    </message>
    <message>
        <source>The proxy does not let Krita through to {host}. Check the system's proxy settings.</source>
        <translation>代理不允许 Krita 访问 {host}。请检查系统的代理设置。</translation>
    </message>
    <message>
        <source>The server at {host} does not answer. It is tried again by itself.</source>
        <translation>{host} 的服务器没有应答。会自动重试。</translation>
    </message>
    <message>
        <source>The server at {host} sent more than is right. Check the address.</source>
        <translation>{host} 的服务器发送的数据过多。请检查地址。</translation>
    </message>
    <message>
        <source>The server cannot be found. Check the internet connection and the address {host}.</source>
        <translation>找不到服务器。请检查网络连接和地址 {host}。</translation>
    </message>
    <message>
        <source>The server does not take this token. Sign in again.</source>
        <translation>服务器不接受此令牌。请重新登录。</translation>
    </message>
    <message>
        <source>The server has a problem at the moment. It is tried again by itself.</source>
        <translation>服务器目前有问题。会自动重试。</translation>
    </message>
    <message>
        <source>The server has too much to do at the moment. It is tried again by itself.</source>
        <translation>服务器目前太忙。会自动重试。</translation>
    </message>
    <message>
        <source>There is no Atelier at {host}. Check the address.</source>
        <translation>{host} 上没有 Atelier。请检查地址。</translation>
    </message>
    <message>
        <source>another page</source>
        <translation>另一个页面</translation>
    </message>
    <message>
        <source>{host} answers, but not as Atelier does. Sign in to this network in a browser, or correct the address.</source>
        <translation>{host} 有应答，但不是 Atelier。请在浏览器中登录此网络，或更正地址。</translation>
    </message>
    <message>
        <source>{host} sends on to {elsewhere}. Sign in to this network in a browser, or correct the address.</source>
        <translation>{host} 转到了 {elsewhere}。请在浏览器中登录此网络，或更正地址。</translation>
    </message>
</context>
</TS>
